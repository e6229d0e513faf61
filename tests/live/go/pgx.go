// SPDX-License-Identifier: Apache-2.0
// What a program with pgx does: types loaded by name, statements prepared and described, a batch, a pool.
// Prints one line per step, which must be equal direct and through.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func oid(c *pgx.Conn, name string) (n uint32) {
	must(c.QueryRow(context.Background(), "select oid from pg_type where typname = $1", name).Scan(&n))
	return
}

func main() {
	ctx := context.Background()
	c, err := pgx.Connect(ctx, os.Getenv("DSN"))
	must(err)
	var labels []string
	rows, err := c.Query(ctx, "select enumlabel from pg_enum where enumtypid = $1::regtype order by enumsortorder", "mood")
	must(err)
	for rows.Next() {
		var label string
		must(rows.Scan(&label))
		labels = append(labels, label)
	}
	c.ConnInfo().RegisterDataType(pgtype.DataType{Value: pgtype.NewEnumType("mood", labels), Name: "mood", OID: oid(c, "mood")})
	pair, err := pgtype.NewCompositeType("pair", []pgtype.CompositeTypeField{{Name: "a", OID: pgtype.Int4OID}, {Name: "b", OID: pgtype.TextOID}}, c.ConnInfo())
	must(err)
	c.ConnInfo().RegisterDataType(pgtype.DataType{Value: pair, Name: "pair", OID: oid(c, "pair")})
	rows, err = c.Query(ctx, "select id, i2, i8, n, f8, b, t, y, d, ts, u, jb, ai, at, m, p, ip from every order by id")
	must(err)
	for rows.Next() {
		values, err := rows.Values()
		must(err)
		fmt.Println(values...)
	}
	batch := &pgx.Batch{}
	for i := 1; i < 20; i++ {
		batch.Queue("select item, price::text from orders where id = $1", i)
	}
	results := c.SendBatch(ctx, batch)
	for i := 1; i < 20; i++ {
		var item, price string
		must(results.QueryRow().Scan(&item, &price))
		fmt.Println(item, price)
	}
	must(results.Close())
	must(c.Close(ctx))
	pool, err := pgxpool.Connect(ctx, os.Getenv("DSN"))
	must(err)
	for i := 0; i < 30; i++ {
		var n int
		must(pool.QueryRow(ctx, "select $1::int + 1", i).Scan(&n))
		fmt.Println(n)
	}
	pool.Close()
	fmt.Println("end")
}

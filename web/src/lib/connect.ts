// SPDX-License-Identifier: Apache-2.0
// How a client comes in by a ticket: what `sallyport ticket` prints, in more forms.

export interface Ticket {
  id: string;
  password: string;
  target: string;
  protocol: string;
  host?: string;
  port?: number;
  tls?: boolean;
}
export interface Form {
  name: string;
  text: string;
}

const address = (host: string) => (host.includes(":") ? `[${host}]` : host);

function postgres(t: Ticket, host: string): Form[] {
  const mode = t.tls ? "require" : "disable";
  const dsn = `postgresql://${t.id}:${t.password}@${address(host)}:${t.port}/${t.target}?sslmode=${mode}`;
  return [
    { name: "psql", text: `psql '${dsn}'` },
    { name: "DSN", text: dsn },
    { name: "env", text: `export PGHOST='${host}' PGPORT='${t.port}' PGUSER='${t.id}' PGPASSWORD='${t.password}' PGDATABASE='${t.target}' PGSSLMODE='${mode}'` },
  ];
}

function ssh(t: Ticket, host: string): Form[] {
  return [
    { name: "ssh", text: `ssh -o PubkeyAuthentication=no -p ${t.port} -l ${t.id} ${host}` },
    { name: "password", text: t.password },
    { name: "env", text: `export SSH_HOST='${host}' SSH_PORT='${t.port}' SSH_USER='${t.id}' SSHPASS='${t.password}'` },
  ];
}

function web(t: Ticket, host: string): Form[] {
  const basic = `Basic ${btoa(`${t.id}:${t.password}`)}`;
  const url = `${t.tls ? "https" : "http"}://${address(host)}:${t.port}`;
  if (t.protocol === "docker")
    return [{ name: "docker", text: `DOCKER_HOST='tcp://${address(host)}:${t.port}' DOCKER_TLS_VERIFY='${t.tls ? "1" : ""}' DOCKER_CUSTOM_HEADERS='Authorization=${basic}' docker ps` }];
  return [
    { name: "curl", text: `curl -H 'Authorization: ${basic}' ${url}/` },
    { name: "env", text: `export SALLYPORT_URL='${url}' SALLYPORT_AUTHORIZATION='${basic}'` },
  ];
}

// here: the console's own name, when the gateway listens at every address.
export function forms(t: Ticket, here: string): Form[] {
  const host = t.host || here;
  if (t.port === undefined) return [];
  const own = t.protocol === "postgres" ? postgres(t, host) : t.protocol === "ssh" ? ssh(t, host) : web(t, host);
  return [...own, { name: "JSON", text: JSON.stringify({ ...t, host }, null, 2) }];
}

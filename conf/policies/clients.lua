-- SPDX-License-Identifier: Apache-2.0
-- What everyday tools send that the gateway would refuse as unclear, each a narrow exception.
--
-- SHOW, SELECT of pg_catalog functions, advisory locks, SET of the settings that `sallyport doc`
-- lists, RESET ALL and DISCARD ALL, pg_dump's set_config('search_path', …) and its prepared statements
-- need none: they are clear.  What stands here lifts one named refusal and no rule, so a deny elsewhere still wins.

rule "client-restore" {
  doc   = "What files of other releases of pg_dump begin with, when psql plays them back.",
  on    = "sql.statement",
  when  = { verb = { "set", "reset" } },
  allow = {
    unclear = "setting",
    name = { "quote_all_identifiers", "transaction_timeout" },
  },
}

rule "client-planner" {
  doc   = "People who tune a query turn the planner's ways on and off; results stay the same.",
  on    = "sql.statement",
  when  = { verb = { "set", "reset" } },
  allow = {
    unclear = "setting",
    name = {
      prefix "enable_", "constraint_exclusion", "cpu_index_tuple_cost", "cpu_operator_cost", "cpu_tuple_cost",
      "cursor_tuple_fraction", "effective_cache_size", "effective_io_concurrency", "from_collapse_limit",
      "join_collapse_limit", "max_parallel_workers_per_gather", "parallel_leader_participation",
      "plan_cache_mode", "random_page_cost", "seq_page_cost",
    },
  },
}

rule "client-format" {
  doc   = "How numbers, money, XML and texts to search in are written.",
  on    = "sql.statement",
  when  = { verb = { "set", "reset" } },
  allow = {
    unclear = "setting",
    name = { "default_text_search_config", "escape_string_warning", "lc_monetary", "lc_numeric", "lc_time", "xmlbinary" },
  },
}

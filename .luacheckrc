-- SPDX-License-Identifier: Apache-2.0
-- luacheck of what is Lua here: the language's words are globals that the gateway gives.

std = "lua54"
max_line_length = 160

local words = {
	"rule", "tag", "test", "mask", "sql", "prepare", "session", "operation",
	"prefix", "suffix", "matches", "cidr", "tagged", "at_least", "at_most", "more_than", "less_than",
	"within", "outside", "any_of", "all_of", "none_of", "absent", "present",
}

files["lua/prelude.lua"] = { globals = words }
files["conf/policies"] = { read_globals = words }

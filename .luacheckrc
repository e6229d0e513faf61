-- SPDX-License-Identifier: Apache-2.0
-- What luacheck may take for granted: lua/prelude.lua makes the words of the policy language, policies use them.
max_line_length = 160

local words = {
	"rule", "tag", "test",
	"prefix", "suffix", "matches", "cidr", "tagged", "at_least", "at_most", "more_than", "less_than", "within", "outside",
	"any_of", "all_of", "none_of", "absent", "present",
	"mask", "operation", "sql", "prepare", "session", "ssh",
}
-- core/policy/library.c: this much of Lua, and no more.
local function fields(...)
	local t = {}
	for _, name in ipairs { ... } do
		t[name] = {}
	end
	return { fields = t }
end

stds.sandbox = { read_globals = {
	"assert", "contains", "error", "fits", "ipairs", "next", "pairs", "pcall", "rawequal", "rawlen", "select", "tonumber",
	"tostring", "type",
	math = fields("abs", "ceil", "floor", "fmod", "max", "min", "modf", "sqrt", "tointeger", "type", "ult"),
	string = fields("byte", "char", "format", "len", "lower", "rep", "reverse", "sub", "upper"),
	table = fields("concat", "insert", "pack", "remove", "sort", "unpack"),
} }
std = "sandbox"
files["lua/prelude.lua"] = { globals = words }
files["conf"] = { read_globals = words }

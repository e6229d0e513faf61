-- SPDX-License-Identifier: Apache-2.0
-- The words of the policy language: each makes a plain table, which the core reads and checks.
--
-- Runs once in each new state, before any policy, with the library as its globals.  What stands here
-- holds no secret and no authority: a policy that builds such tables by hand gets the same checks.

local begin, collect = ...

-- rule "name" { … }: begin() remembers the place, so that a name without a body is found.
local function entry(what)
	return function(name)
		begin(what, name)
		return function(body)
			collect(what, name, body)
		end
	end
end

rule = entry "rule"
tag = entry "tag"
test = entry "test"

local function predicate(name)
	return function(...)
		return { predicate = name, ... }
	end
end

-- of a text
prefix = predicate "prefix"
suffix = predicate "suffix"
matches = predicate "matches"
cidr = predicate "cidr"
-- of a column
tagged = predicate "tagged"
-- of a number
at_least = predicate "at_least"
at_most = predicate "at_most"
more_than = predicate "more_than"
less_than = predicate "less_than"
-- of the time
within = predicate "within"
outside = predicate "outside"
-- of other conditions
any_of = predicate "any_of"
all_of = predicate "all_of"
none_of = predicate "none_of"
-- of whether there is a value
absent = { predicate = "absent" }
present = { predicate = "present" }

local function method(name)
	return { mask = name }
end

mask = {
	null = method "null",
	redact = method "redact",
	hash = method "hash",
	date_year = method "date_year",
	email = method "email",
	last4 = { mask = "keep", first = 0, last = 4 },
}

function mask.keep(how)
	return { mask = "keep", first = how.first or 0, last = how.last or 0 }
end

-- One after the other: mask.compose(mask.hash, mask.keep { first = 8 })
function mask.compose(...)
	return { mask = "compose", ... }
end

-- What a test sends.
function operation(kind)
	return function(text)
		return { kind = kind, text = text }
	end
end

sql = operation "sql.statement"
prepare = operation "sql.prepare"
session = { kind = "session" }

-- ssh.exec "uname -a", ssh.sftp "remove /srv/x", ssh.forward "direct-tcpip 10.0.0.7 5432"
ssh = {
	env = operation "ssh.env",
	exec = operation "ssh.exec",
	forward = operation "ssh.forward",
	scp = operation "ssh.scp",
	sftp = operation "ssh.sftp",
	shell = { kind = "ssh.shell", text = "shell" },
}

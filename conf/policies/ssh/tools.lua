-- SPDX-License-Identifier: Apache-2.0
-- What everyday tools send over SSH that the gateway would refuse as unclear, each a narrow exception.
--
-- rsync, git, scp and sftp need none: their command lines are fixed words, their files are judged one by one.
-- What stands here lets a shell run text of the client's own making.  Whoever may use ansible or an IDE's remote
-- may run anything as the target's login, whatever else rules say: that is what these tools do.  So give this file
-- to targets where that is meant, and rely on the login's own rights there.

-- `ansible` wraps all it does as /bin/sh -c '… && sleep 0': it asks for the home, makes a folder under ~/.ansible/tmp,
-- copies its program there by sftp, runs it with python, and removes the folder.
rule "ansible" {
  doc   = "What ansible runs, in the shapes that it sends.",
  on    = "ssh.exec",
  when  = { command = {
    matches [[\A/bin/sh -c 'echo ~[a-z_][a-z0-9_-]* && sleep 0'\z]],
    matches [[\A/bin/sh -c 'echo PLATFORM; uname; echo FOUND; (command -v '"'"'[a-z0-9./-]+'"'"'; )+echo ENDFOUND && sleep 0'\z]],
    matches(
      [[\A/bin/sh -c '\( umask 77 && mkdir -p "` echo [^'"`$;&|]*/\.ansible/tmp `"&& mkdir "` echo ]] ..
      [[[^'"`$;&|]*/\.ansible/tmp/ansible-tmp-[0-9.-]+ `" && echo ansible-tmp-[0-9.-]+="` echo ]] ..
      [[[^'"`$;&|]*/\.ansible/tmp/ansible-tmp-[0-9.-]+ `" \) && sleep 0'\z]]
    ),
    matches [[\A/bin/sh -c 'chmod u\+x [^'"`$;&|]*/\.ansible/tmp/ansible-tmp-[^'"`$;&|]* && sleep 0'\z]],
    matches [[\A/bin/sh -c '[a-zA-Z0-9./_-]*python[0-9.]* [^'"`$;&|]*/\.ansible/tmp/ansible-tmp-[^'"`$;&|]*/AnsiballZ_[a-z0-9_]+\.py && sleep 0'\z]],
    matches [[\A/bin/sh -c 'rm -f -r [^'"`$;&| ]*/\.ansible/tmp/ansible-tmp-[0-9.-]+/ > /dev/null 2>&1 && sleep 0'\z]],
  } },
  allow = { unclear = "program", name = "sh" },
}

-- Interpreter discovery of ansible 2.14 and later asks python what the system is.
rule "ansible-python" {
  doc   = "Its question to python, which it sends on stdin.",
  on    = "ssh.exec",
  when  = { command = matches [[\A/bin/sh -c '[a-zA-Z0-9./_-]*python[0-9.]* && sleep 0'\z]] },
  allow = { unclear = "program", name = "sh" },
}

-- VS Code's remote and its like start a shell without a terminal and feed it a script.
rule "ide-remote" {
  doc   = "A shell that reads what an IDE sends it.",
  on    = "ssh.exec",
  when  = { command = { "sh", "bash", "bash --login -c bash", "exec sh", "exec bash" } },
  allow = { unclear = "program", name = { "sh", "bash", "exec" } },
}

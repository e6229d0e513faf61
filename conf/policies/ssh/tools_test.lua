-- SPDX-License-Identifier: Apache-2.0
-- What tools send, word by word, and what must not pass with it.

-- rsync, git, scp, sftp: clear by themselves
test "rsync: to" { send = ssh.exec "rsync --server -vlogDtpre.iLsfxCIvu . /srv/x/", expect = "allow" }
test "rsync: from" { send = ssh.exec "rsync --server --sender -logDtpre.iLsfxCIvu . /srv/x/", expect = "allow" }
test "rsync: with a shell of its own" { send = ssh.exec "rsync -e 'sh -c id' a b", expect = "deny" }
test "git: fetch" { send = ssh.exec "git-upload-pack '/srv/x.git'", expect = "allow" }
test "git: push" { send = ssh.exec "git-receive-pack '/srv/x.git'", expect = "allow" }
test "git: another program by -c" { send = ssh.exec "git -c core.pager=id log", expect = "deny" }
test "scp: to, as it was" { send = ssh.scp "scp -t /srv/x", expect = "allow" }
test "scp: from, as it was" { send = ssh.scp "scp -r -f /srv/x", expect = "allow" }
test "sftp: begins" { send = ssh.sftp "start", expect = "allow" }
test "sftp: writes" { send = ssh.sftp "open /srv/x", expect = "allow" }

-- ansible
test "ansible: home" { send = ssh.exec "/bin/sh -c 'echo ~deploy && sleep 0'", expect = "allow" }
test "ansible: interpreters" {
  send = ssh.exec [[/bin/sh -c 'echo PLATFORM; uname; echo FOUND; command -v '"'"'python3.11'"'"'; command -v '"'"'/usr/bin/python3'"'"'; echo ENDFOUND && sleep 0']],
  expect = "allow",
}
test "ansible: folder" {
  send = ssh.exec [[/bin/sh -c '( umask 77 && mkdir -p "` echo /home/deploy/.ansible/tmp `"&& mkdir "` echo /home/deploy/.ansible/tmp/ansible-tmp-1700000000.123-45-678 `" && echo ansible-tmp-1700000000.123-45-678="` echo /home/deploy/.ansible/tmp/ansible-tmp-1700000000.123-45-678 `" ) && sleep 0']],
  expect = "allow",
}
test "ansible: may run" {
  send = ssh.exec [[/bin/sh -c 'chmod u+x /home/deploy/.ansible/tmp/ansible-tmp-1700000000.1-2-3/ /home/deploy/.ansible/tmp/ansible-tmp-1700000000.1-2-3/AnsiballZ_ping.py && sleep 0']],
  expect = "allow",
}
test "ansible: runs" {
  send = ssh.exec [[/bin/sh -c '/usr/bin/python3 /home/deploy/.ansible/tmp/ansible-tmp-1700000000.1-2-3/AnsiballZ_ping.py && sleep 0']],
  expect = "allow",
}
test "ansible: cleans up" {
  send = ssh.exec [[/bin/sh -c 'rm -f -r /home/deploy/.ansible/tmp/ansible-tmp-1700000000.1-2-3/ > /dev/null 2>&1 && sleep 0']],
  expect = "allow",
}
test "ansible: python" { send = ssh.exec "/bin/sh -c '/usr/bin/python3.11 && sleep 0'", expect = "allow" }
test "not ansible: another command at its end" { send = ssh.exec "/bin/sh -c 'echo ~deploy && sleep 0'; id", expect = "deny" }
test "not ansible: another command in it" { send = ssh.exec "/bin/sh -c 'echo ~deploy && id && sleep 0'", expect = "deny" }
test "not ansible: removes more" {
  send = ssh.exec [[/bin/sh -c 'rm -f -r / /home/deploy/.ansible/tmp/ansible-tmp-1.2-3/ > /dev/null 2>&1 && sleep 0']],
  expect = "deny",
}
test "not ansible: a substitution in the folder" {
  send = ssh.exec [[/bin/sh -c 'chmod u+x `id`/.ansible/tmp/ansible-tmp-1/x && sleep 0']],
  expect = "deny",
}
test "not ansible: a newline for a semicolon" { send = ssh.exec "/bin/sh -c 'echo ~deploy && sleep 0'\nid", expect = "deny" }

-- IDE remotes
test "VS Code: bash" { send = ssh.exec "bash", expect = "allow" }
test "VS Code: sh" { send = ssh.exec "sh", expect = "allow" }
test "not an IDE: a script on the line" { send = ssh.exec "bash -c id", expect = "deny" }
test "not an IDE: through a pipe" { send = ssh.exec "echo aWQ= | base64 -d | sh", expect = "deny" }

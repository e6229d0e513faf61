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
test "scp: in the home" { send = ssh.scp "scp -t notes", expect = "allow" }
test "scp: by its folder" { send = ssh.scp "/usr/bin/scp -f /srv/x", expect = "allow" }
test "scp: another program of that name" { send = ssh.scp "/tmp/scp -f /srv/x", expect = "deny" }
test "sftp: begins" { send = ssh.sftp "start", expect = "allow" }
test "sftp: writes" { send = ssh.sftp "open /srv/x", expect = "allow" }

-- ansible
local tmp = "/home/deploy/.ansible/tmp"
local own = tmp .. "/ansible-tmp-1700000000.123-45-678"
local function sh(command)
  return ssh.exec("/bin/sh -c '" .. command .. " && sleep 0'")
end
test "ansible: home" { send = sh "echo ~deploy", expect = "allow by ansible" }
test "ansible: interpreters" {
  send = sh [[echo PLATFORM; uname; echo FOUND; command -v '"'"'python3.11'"'"'; command -v '"'"'/usr/bin/python3'"'"'; echo ENDFOUND]],
  expect = "allow by ansible",
}
test "ansible: folder" {
  send = sh('( umask 77 && mkdir -p "` echo ' .. tmp .. ' `"&& mkdir "` echo ' .. own .. ' `" && echo ansible-tmp-1700000000.123-45-678="` echo ' ..
    own .. ' `" )'),
  expect = "allow by ansible",
}
test "ansible: may run" { send = sh("chmod u+x " .. own .. "/ " .. own .. "/AnsiballZ_ping.py"), expect = "allow by ansible" }
test "ansible: runs" { send = sh("/usr/bin/python3 " .. own .. "/AnsiballZ_ping.py"), expect = "allow by ansible" }
test "ansible: cleans up" { send = sh("rm -f -r " .. own .. "/ > /dev/null 2>&1"), expect = "allow by ansible" }
test "ansible: python" { send = sh "/usr/bin/python3.11", expect = "allow by ansible-python" }
test "not ansible: another command at its end" { send = ssh.exec "/bin/sh -c 'echo ~deploy && sleep 0'; id", expect = "deny" }
test "not ansible: another command in it" { send = sh "echo ~deploy && id", expect = "deny" }
test "not ansible: removes more" { send = sh("rm -f -r / " .. own .. "/ > /dev/null 2>&1"), expect = "deny" }
test "not ansible: a substitution in the folder" { send = sh "chmod u+x `id`/.ansible/tmp/ansible-tmp-1/x", expect = "deny" }
test "not ansible: another quoted part in the folder" {
  send = sh([[( umask 77 && mkdir -p "` echo ';id;' ]] .. tmp .. ' `"&& mkdir "` echo ' .. own ..
    ' `" && echo ansible-tmp-1="` echo ' .. own .. ' `" )'),
  expect = "deny",
}
test "not ansible: a newline for a semicolon" { send = ssh.exec "/bin/sh -c 'echo ~deploy && sleep 0'\nid", expect = "deny" }

-- IDE remotes
test "VS Code: bash" { send = ssh.exec "bash", expect = "allow by ide-remote" }
test "VS Code: sh" { send = ssh.exec "sh", expect = "allow by ide-remote" }
test "not an IDE: a script on the line" { send = ssh.exec "bash -c id", expect = "deny" }
test "not an IDE: through a pipe" { send = ssh.exec "echo aWQ= | base64 -d | sh", expect = "deny" }

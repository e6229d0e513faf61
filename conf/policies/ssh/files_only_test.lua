-- SPDX-License-Identifier: Apache-2.0

test "rsync" { send = ssh.exec "rsync --server -vlogDtpre.iLsfxCIvu . /srv/x/", expect = "allow" }
test "git" { send = ssh.exec "git-upload-pack '/srv/x.git'", expect = "allow" }
test "anything else" { send = ssh.exec "uname", expect = "deny by files-only" }
test "behind one of them" { send = ssh.exec "git-upload-pack '/srv/x.git'; uname", expect = "deny by files-only" }
test "beside one of them" { send = ssh.exec "rsync --server . /srv/x/ | uname", expect = "deny by files-only" }
test "its name alone" { send = ssh.exec "/tmp/mine/uname", expect = "deny by files-only" }
test "a shell" { send = ssh.shell, expect = "deny by no-shell" }
test "sftp" { send = ssh.sftp "open /srv/x", expect = "allow" }

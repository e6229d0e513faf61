-- SPDX-License-Identifier: Apache-2.0

test "mkfs" { send = ssh.exec "mkfs.ext4 /dev/sdb1", expect = "deny by disks-and-power" }
test "by its path" { send = ssh.exec "/sbin/reboot", expect = "deny by disks-and-power" }
test "behind another" { send = ssh.exec "true && \"re\"boot", expect = "deny by disks-and-power" }
test "rm -rf" { send = ssh.exec "rm -rf /srv/x", expect = "approve by remove-folders" }
test "rm -fr" { send = ssh.exec "rm -fr /srv/x", expect = "approve by remove-folders" }
test "rm --recursive" { send = ssh.exec "rm --recursive /srv/x", expect = "approve by remove-folders" }
test "rm of one file" { send = ssh.exec "rm /srv/x/y", expect = "allow" }
test "shadow by sftp" { send = ssh.sftp "read /etc/../etc//shadow", expect = "deny by secret-files" }
test "shadow by a link" { send = ssh.sftp "read /srv/x\n= /etc/shadow", expect = "deny by secret-files" }
test "a link to a link" { send = ssh.sftp "rename /srv/x\n/srv/y\n= /srv/z\n= /etc/ssl/private/y", expect = "deny by secret-files" }
test "a link elsewhere" { send = ssh.sftp "rename /srv/x\n/srv/y\n= /data/x\n= /data/y", expect = "allow" }
test "a key by scp" { send = ssh.scp "scp -f /home/ann/.ssh/id_ed25519", expect = "deny by secret-files" }
test "a key by a name in the home" { send = ssh.scp "scp -f .ssh/id_ed25519", expect = "deny by secret-files" }
test "a whole folder may hold one" { send = ssh.scp "scp -r -f /home/ann", expect = "deny by secret-files" }
test "so may the root, upwards from the home" { send = ssh.scp "scp -f ../../etc/shadow", expect = "deny by secret-files" }
test "files into a folder" { send = ssh.scp "scp -d -t /etc/ssl", expect = "deny by secret-files" }
test "a key by a command in the home" { send = ssh.exec "cat .ssh/id_ed25519", expect = "deny by secret-files-by-command" }
test "a file" { send = ssh.scp "scp -f /home/ann/notes", expect = "allow" }
test "its public half" { send = ssh.scp "scp -f /home/ann/.ssh/id_ed25519.pub", expect = "allow" }
test "shadow by cat" { send = ssh.exec "cat /etc/shadow", expect = "deny by secret-files-by-command" }
test "what can't be seen" { send = ssh.exec "cat /etc/sh*", expect = "deny" }
test "metadata" { send = ssh.forward "direct-tcpip 169.254.169.254 80", expect = "deny by metadata" }

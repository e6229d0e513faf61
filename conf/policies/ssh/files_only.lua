-- SPDX-License-Identifier: Apache-2.0
-- Files and nothing else: scp, sftp, rsync and git, without a shell, for targets that are only filled and emptied.
-- With `channels exec,sftp,scp;` at the target, so that no shell opens in the first place.

rule "files-only" {
  doc    = "Only programs that move files run.",
  on     = "ssh.exec",
  unless = { program = { "rsync", "git-upload-pack", "git-receive-pack", "git-upload-archive" }, syntax = "simple" },
  deny   = "This host is for files: scp, sftp, rsync and git.",
}

rule "no-shell" {
  doc  = "No shell, also where the target's channels would let one open.",
  on   = "ssh.shell",
  deny = "This host is for files: scp, sftp, rsync and git.",
}

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""ansible through the gateway, with the policy for tools that is shipped and a certificate."""

from ssh_world import *


def certified(w, user="ann"):
    home = w.client / f"home-{user}"
    home.mkdir(exist_ok=True)
    done = w.command("ssh-config", "--host", "127.0.0.1", token=w.token(user, "dev", api=True), env={"HOME": str(home), "XDG_CONFIG_HOME": ""})
    assert done.code == 0, repr(done)
    return home / ".config" / "sallyport" / "ssh"


@test
def ping_and_copy(w):
    if shutil.which("ansible") is None:
        skip("ansible is not installed (apt-get install ansible-core)")
    ssh = certified(w)
    there = w.dir / "ansible"
    there.mkdir()
    there.chmod(0o777)
    inventory = w.client / "inventory"
    words = " ".join([*w.options(w.ssh_port), "-o", "IdentitiesOnly=yes", "-o", f"CertificateFile={ssh}/key-cert.pub", "-o", "ControlMaster=no"])
    inventory.write_text(f"web ansible_host=127.0.0.1 ansible_port={w.ssh_port} ansible_user=host ansible_ssh_private_key_file={ssh}/key "
                         f"ansible_ssh_args='{words}' ansible_remote_tmp={there}/.ansible/tmp\n")
    env = {"HOME": str(w.client), "ANSIBLE_LOCAL_TEMP": str(w.client / "tmp"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOST_KEY_CHECKING": "1"}
    done = run(["ansible", "-i", inventory, "web", "-m", "ping"], env=env, stdin="", timeout=120 * SLOW)
    assert done.code == 0 and '"ping": "pong"' in done.out, f"{done!r}\n{w.gateway.logs()}"
    data = w.client / "copied"
    data.write_bytes(os.urandom(50_000))
    done = run(["ansible", "-i", inventory, "web", "-m", "copy", "-a", f"src={data} dest={there}/copied mode=0644"], env=env, stdin="", timeout=120 * SLOW)
    assert done.code == 0 and (there / "copied").read_bytes() == data.read_bytes(), f"{done!r}\n{w.gateway.logs()}"


SHIPPED = pathlib.Path(__file__).resolve().parents[2] / "conf" / "policies" / "ssh" / "tools.lua"

ssh_main(policy=SHIPPED.read_text())

"""Hosts as people and Ansible write them. Nothing here needs a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from imgsync.errors import ContainerdError, InvalidInput, NotFound
from imgsync.fleet.ansible import parse_ansible
from imgsync.fleet.connection import Connection
from imgsync.fleet.finding import find
from imgsync.fleet.host import Become, Host, limit_hosts, parse_hosts
from imgsync.fleet.inventory import read_inventory
from imgsync.fleet.remote_ctr import RemoteCtr
from imgsync.fleet.session import session
from imgsync.fleet.ssh import Ssh

if TYPE_CHECKING:
    from pathlib import Path


def test_a_list_of_hosts() -> None:
    text = "# rack 1\nn1\nadmin@n2:2222  # the old one\n\n[fd00::1]:22\nssh://op@n3\nn1\n"
    hosts = parse_hosts(text, "nodes.txt")
    assert [(host.name, host.user, host.port) for host in hosts] == [
        ("n1", "", 0),
        ("n2", "admin", 2222),
        ("fd00::1", "", 22),
        ("n3", "op", 0),
    ]
    assert hosts[1].words == ("-l", "admin", "-p", "2222", "n2")


@pytest.mark.parametrize(
    "line", ["-oProxyCommand=touch", "a b", "n1:99999", "n1:ssh", "@n1", "-x@n1", "n1;reboot"]
)
def test_what_is_no_host_is_refused(line: str) -> None:
    """A word with a dash would be an option of ssh."""
    with pytest.raises(InvalidInput, match=r"nodes.txt:1"):
        parse_hosts(line, "nodes.txt")


def test_an_empty_list() -> None:
    with pytest.raises(InvalidInput, match="has no host"):
        parse_hosts("# none\n", "nodes.txt")


def test_limits() -> None:
    hosts = parse_hosts("rack1-a\nrack1-b\nrack2-a\n", "x")
    labels = [host.label for host in limit_hosts(hosts, ["rack1-*", "!*-b"])]
    assert labels == ["rack1-a"]
    assert len(limit_hosts(hosts, ["!rack2-*"])) == 2
    with pytest.raises(NotFound, match=r"--limit rack3"):
        limit_hosts(hosts, ["rack3-*"])
    with pytest.raises(NotFound, match="leaves no host"):
        limit_hosts(hosts, ["!*"])


def test_become_for_all_but_root(tmp_path: Path) -> None:
    path = tmp_path / "nodes.txt"
    path.write_text("root@n1\nop@n2\n")
    root, operator = read_inventory(str(path), become=Become("secret"))
    assert root.become is None
    assert operator.become == Become("secret")
    assert "secret" not in repr(operator)
    assert [host.name for host in read_inventory("n1,n2")] == ["n1", "n2"]
    with pytest.raises(InvalidInput, match="No such file"):
        read_inventory(str(tmp_path / "none"))


def _ansible(**variables: object) -> bytes:
    return json.dumps({"all": {"hosts": ["n1"]}, "_meta": {"hostvars": {"n1": variables}}}).encode()


def test_what_is_taken_from_ansible() -> None:
    (host,) = parse_ansible(
        _ansible(
            ansible_host="10.1.1.1",
            ansible_user="op",
            ansible_port=2222,
            ansible_ssh_private_key_file="/keys/id",
            ansible_ssh_common_args="-o ProxyJump=bastion",
            ansible_become="yes",
            ansible_become_password="s",
        ),
        "inventory",
    )
    words = ("-i", "/keys/id", "-o", "ProxyJump=bastion", "-l", "op", "-p", "2222", "10.1.1.1")
    assert (host.label, host.words, host.become) == ("n1", words, Become("s"))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ansible_user": "{{ admin }}"}, "is a template"),
        ({"ansible_connection": "local"}, "reached by local"),
        ({"ansible_become": True, "ansible_become_method": "su"}, "by su"),
        ({"ansible_host": "-oProxyCommand=x"}, "is no host"),
    ],
)
def test_what_is_not_understood_of_ansible_is_refused(
    variables: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_ansible(_ansible(**variables), "inventory")


@pytest.mark.parametrize("raw", [b"nonsense", b"[]"])
def test_what_is_no_inventory(raw: bytes) -> None:
    with pytest.raises(InvalidInput, match="did not print an inventory"):
        parse_ansible(raw, "inventory")


CONTAINERD, K3S = "/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock"


@pytest.mark.parametrize(
    ("facts", "address", "command", "expected"),
    [
        ({"command": ["ctr"], "socket": [CONTAINERD]}, "", "", (CONTAINERD, "ctr")),
        ({"command": ["k3s"], "socket": [K3S]}, "", "", (K3S, "k3s ctr")),
        ({"command": ["k3s"]}, "", "", (K3S, "k3s ctr")),
        ({"command": ["ctr"]}, "", "", (CONTAINERD, "ctr")),
        ({"command": ["ctr"], "socket": [CONTAINERD]}, "/x.sock", "", ("/x.sock", "ctr")),
        ({"command": []}, "", "/opt/ctr", (CONTAINERD, "/opt/ctr")),
        (
            {"command": ["ctr"], "crictl": ["runtime-endpoint: unix:///y.sock"]},
            "",
            "",
            ("/y.sock", "ctr"),
        ),
    ],
)
def test_which_containerd(
    facts: dict[str, list[str]], address: str, command: str, expected: tuple[str, str]
) -> None:
    assert find(facts, address, command) == expected


def test_no_ctr() -> None:
    with pytest.raises(ContainerdError, match="no ctr on the node"):
        find({"socket": [CONTAINERD]}, "", "")


def test_words_for_a_node_s_shell(tmp_path: Path) -> None:
    ssh = Ssh.parse("ssh -F 'a file'", tmp_path)
    assert ssh.command == ("ssh", "-F", "a file")
    connection = Connection(ssh, Host("n1", "n1"))
    plain = RemoteCtr(connection, CONTAINERD, "k3s ctr").words("k8s.io", "images", "ls")
    assert plain[:2] == ("env", "LC_ALL=C")
    assert plain[-8:] == (
        *("k3s", "ctr", "--address", CONTAINERD),
        *("--namespace", "k8s.io", "images", "ls"),
    )
    free = RemoteCtr(connection, CONTAINERD, "ctr", Become()).words("k8s.io", "version")
    assert free[:4] == ("sudo", "-n", "--", "ctr")
    asked = RemoteCtr(connection, CONTAINERD, "ctr", Become("secret")).words("k8s.io", "version")
    assert asked[:3] == ("sudo", "-k", "-S")
    assert "secret" not in " ".join(asked)
    with pytest.raises(InvalidInput, match="--ssh"):
        Ssh.parse("ssh 'x", tmp_path)


def test_the_session_is_a_script_for_any_posix_shell() -> None:
    assert "{" + "sockets" not in session()
    assert CONTAINERD in session()

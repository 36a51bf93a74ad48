from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from xraycodec.gateway.config import DicomTarget, FolderTarget
from xraycodec.gateway.config_file import load, parse
from xraycodec.gateway.settings import ConfigError, Table

LEAST = """
[gateway]
ae_title = "WARD"
spool = "spool"
[listen]
port = 11112
[[peer]]
ae_title = "CR1"
addresses = ["10.1.0.0/16", "::1"]
[[destination]]
name = "hub"
ae_title = "HUB"
address = "hub.example"
port = 104
syntax = "xrc"
"""
FOLDER = '[[destination]]\nname = "drop"\nkind = "folder"\nfolder = "images"\n'


def _parse(text: str, folder: Path = Path("/base")) -> Any:
    return parse(Table(tomllib.loads(text)), folder)


def test_what_is_not_said_has_defaults() -> None:
    config = _parse(LEAST + FOLDER)
    assert config.spool == Path("/base/spool")
    assert config.listen.address == "127.0.0.1"
    assert config.listen.tls is None
    assert config.status is None
    assert config.compression.codec == "lattice"
    assert (config.compression.timeout_seconds, config.limits.base_days) == (14400, 7)
    hub, drop = config.destinations
    assert isinstance(hub.target, DicomTarget)
    assert (hub.syntax, hub.fallback, hub.preview, hub.forward_previews) == (
        "xrc",
        None,
        None,
        False,
    )
    assert drop.target == FolderTarget(Path("/base/images"))
    assert (drop.syntax, drop.forward_previews) == ("explicit", True)


@pytest.mark.parametrize(
    ("access", "modes"),
    [("owner", (0o600, 0o700)), ("group", (0o640, 0o750)), ("all", (0o644, 0o755))],
)
def test_who_may_read_a_folder(access: str, modes: tuple[int, int]) -> None:
    target = _parse(LEAST + FOLDER + f'access = "{access}"\n').destinations[1].target
    assert target == FolderTarget(Path("/base/images"), *modes)


def test_peers_are_admitted_by_title_and_address() -> None:
    (peer,) = _parse(LEAST).peers
    assert peer.admits("CR1", "10.1.2.3")
    assert peer.admits("CR1", "::ffff:10.1.2.3")
    assert peer.admits("CR1", "::1")
    assert not peer.admits("CR1", "10.2.0.1")
    assert not peer.admits("CR2", "10.1.2.3")


@pytest.mark.parametrize(
    ("found", "replacement", "key"),
    [
        ("port = 11112", "port = 70000", "listen.port"),
        ("port = 11112", "port = true", "listen.port"),
        ("port = 11112", 'port = 1\nadress = "::"', "listen.adress"),
        ("port = 11112", 'port = 1\naddress = "somewhere"', "listen.address"),
        ("port = 11112", "port = 1\nassociations_per_host = 0", "listen.associations_per_host"),
        ("port = 11112", "port = 1\nleast_bytes_per_second = 0", "listen.least_bytes_per_second"),
        ('syntax = "xrc"', 'syntax = "xrc"\naccess = "owner"', "destination[0].access"),
        (
            "port = 11112",
            'port = 1\n[listen.tls]\ncertificate = "none.pem"',
            "listen.tls.certificate",
        ),
        ('ae_title = "WARD"', "", "gateway.ae_title"),
        ('ae_title = "WARD"', 'ae_title = "A TITLE TOO LONG."', "gateway.ae_title"),
        ('ae_title = "WARD"', r'ae_title = "A\\B"', "gateway.ae_title"),
        ('spool = "spool"', "spool = 1", "gateway.spool"),
        ('"10.1.0.0/16"', '"10.1.0.1/16"', "peer[0].addresses"),
        ('["10.1.0.0/16", "::1"]', "[]", "peer[0].addresses"),
        ("[[peer]]", "[peer]", "peer"),
        ('syntax = "xrc"', 'syntax = "gif"', "destination[0].syntax"),
        ('syntax = "xrc"', "[destination.preview]", "destination[0].preview"),
        ('syntax = "xrc"', 'folder = "x"', "destination[0].folder"),
        ('syntax = "xrc"', "[destination.retry]\nrefusals = 0", "destination[0].retry.refusals"),
        ('syntax = "xrc"', '[destination.tls]\nkey = "gateway.toml"', "destination[0].tls.key"),
        (
            'syntax = "xrc"',
            'syntax = "xrc"\n[destination.preview]\ncodec = "jpeg"',
            "destination[0].preview.codec",
        ),
        (
            "[gateway]",
            "[compression]\ntimeout_seconds = 0\n[gateway]",
            "compression.timeout_seconds",
        ),
        ("[gateway]", "[limits]\nbase_days = -1\n[gateway]", "limits.base_days"),
        # The gateway's own names for what it sends are none of a configuration.
        ('syntax = "xrc"', 'syntax = "xrc-remainder"', "destination[0].syntax"),
        ('name = "hub"', 'name = "my hub"', "destination[0].name"),
        ('name = "hub"', 'name = ""', "destination[0].name"),
        ("[gateway]", "[status]\nport = 1\n[extra]\n[gateway]", "extra"),
        ("[gateway]", "[limits]\ninstance_mib = nan\n[gateway]", "limits.instance_mib"),
    ],
)
def test_errors_name_the_key(tmp_path: Path, found: str, replacement: str, key: str) -> None:
    text = LEAST.replace(found, replacement, 1)
    assert text != LEAST
    (tmp_path / "gateway.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "gateway.toml")
    assert caught.value.key == key
    assert str(caught.value).startswith(f"{key}: ")


def test_the_ratio_of_a_preview_is_the_codec_s() -> None:
    for codec, ratio in (("rnn-conv", 64), ("wavelet", 30)):
        table = f'syntax = "xrc"\n[destination.preview]\ncodec = "{codec}"'
        (hub,) = _parse(LEAST.replace('syntax = "xrc"', table)).destinations
        assert (hub.preview.codec, hub.preview.ratio) == (codec, ratio)


def test_destinations_have_names_of_their_own() -> None:
    with pytest.raises(ConfigError, match="twice") as caught:
        _parse(LEAST + FOLDER.replace("drop", "hub"))
    assert caught.value.key == "destination[1].name"


@pytest.mark.parametrize("missing", ["peer", "destination", "listen", "gateway"])
def test_what_is_required(missing: str) -> None:
    values = tomllib.loads(LEAST)
    del values[missing]
    with pytest.raises(ConfigError) as caught:
        parse(Table(values), Path("/base"))
    assert caught.value.key == missing


def test_what_is_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(b"[gateway\n\xff")
    with pytest.raises(ConfigError, match="no TOML"):
        load(path)


def test_the_example_of_the_documentation_is_sound(tmp_path: Path) -> None:
    """It gives every key; those that are not required with their defaults, but for a few."""
    text = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text()
    example = text.split("```toml\n")[1].split("```")[0]
    for name in ("ward.pem", "ward.key", "peers.pem", "hospital.pem"):
        (tmp_path / name).touch()
    config = _parse(example, tmp_path)
    default = _parse(LEAST, tmp_path)
    assert config.limits == default.limits
    assert config.compression == default.compression
    assert config.remember_days == default.remember_days
    for name in ("associations", "associations_per_host", "idle_seconds", "least_bytes_per_second"):
        assert getattr(config.listen, name) == getattr(default.listen, name)
    hospital, viewer = config.destinations
    assert hospital.retry == default.destinations[0].retry
    assert hospital.target.timeout_seconds == default.destinations[0].target.timeout_seconds
    assert (hospital.preview.codec, viewer.preview) == ("rnn-conv", None)

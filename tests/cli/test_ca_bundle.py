"""What a client behind the gate trusts."""

from __future__ import annotations

import ssl
from pathlib import Path

import certifi
import pytest

from sluicegate.cli.ca_bundle import ADDING, REPLACING, ca_variables
from sluicegate.gate.ca import make_ca


def ca_of(folder: Path) -> Path:
    make_ca(folder)
    return folder / "mitmproxy-ca-cert.pem"


def trusted(path: str) -> set[bytes]:
    """The certificates that a client of OpenSSL reads from a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    return set(context.get_ca_certs(binary_form=True))


@pytest.fixture(scope="module")
def cas(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The gate's CA, and a company's."""
    return ca_of(tmp_path_factory.mktemp("gate")), ca_of(tmp_path_factory.mktemp("company"))


def test_every_variable_names_a_bundle_of_our_ca_and_the_public_roots(cas: tuple[Path, Path], tmp_path: Path) -> None:
    """Node keeps its own roots, so it gets the CA alone."""
    variables = ca_variables(cas[0], tmp_path, {})
    (bundle,) = {variables[name] for name in REPLACING}
    assert trusted(bundle) >= trusted(str(cas[0])) | trusted(certifi.where())
    assert variables[ADDING] == str(cas[0])


@pytest.mark.parametrize("name", [*REPLACING, ADDING])
def test_a_company_s_ca_stays_trusted_whichever_variable_names_it(
    name: str, cas: tuple[Path, Path], tmp_path: Path
) -> None:
    """In all clients: a company's proxy meets each of them."""
    variables = ca_variables(cas[0], tmp_path, {name: str(cas[1])})
    for path in variables.values():
        assert trusted(path) >= trusted(str(cas[0])) | trusted(str(cas[1]))


def test_roots_that_were_given_stand_in_place_of_the_public_ones(cas: tuple[Path, Path], tmp_path: Path) -> None:
    """SSL_CERT_FILE is a choice: no root is added to it but the gate's."""
    variables = ca_variables(cas[0], tmp_path, {"SSL_CERT_FILE": str(cas[1])})
    assert trusted(variables["SSL_CERT_FILE"]) == trusted(str(cas[0])) | trusted(str(cas[1]))


def test_a_file_that_is_not_there_is_as_if_it_were_not_named(cas: tuple[Path, Path], tmp_path: Path) -> None:
    """The public roots are trusted then; without them no tunnelled host could be."""
    variables = ca_variables(cas[0], tmp_path, dict.fromkeys((*REPLACING, ADDING), str(tmp_path / "none.pem")))
    assert trusted(variables["SSL_CERT_FILE"]) >= trusted(certifi.where())
    assert variables[ADDING] == str(cas[0])


def test_within_the_environment_of_exec_the_bundle_is_the_same(cas: tuple[Path, Path], tmp_path: Path) -> None:
    """A second exec inside the first one loses nothing, and adds nothing."""
    first = ca_variables(cas[0], tmp_path, {ADDING: str(cas[1])})
    second = ca_variables(cas[0], tmp_path, first)
    assert trusted(second["SSL_CERT_FILE"]) == trusted(first["SSL_CERT_FILE"])
    assert trusted(second[ADDING]) >= trusted(str(cas[1]))

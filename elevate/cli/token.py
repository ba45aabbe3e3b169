"""``elevate token``: look at a token, or take one back. A token comes by standard input; arguments are public."""

import base64
import sys
from typing import Annotated

import typer

from elevate import canonical
from elevate.canonical import Json
from elevate.cli.show import AsJson, print_json, print_members
from elevate.errors import TokenError
from elevate.library import connect

MAX_TOKEN_BYTES = 16_384
_PARTS = 3

app = typer.Typer(help="Look at tokens, and take them back.", no_args_is_help=True)


@app.command()
def inspect(
    source: Annotated[str, typer.Argument(metavar="-", help="Standard input; a token is never an argument.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what a token says. Its signature is not checked: the key lives in the broker's memory."""
    if source != "-":
        raise TokenError(
            "a token is read from standard input", hint="elevate token inspect - < FILE; arguments can be read by all"
        )
    header, claims = decode(sys.stdin.buffer.read(MAX_TOKEN_BYTES + 1))
    if as_json:
        print_json({"header": header, "claims": claims, "verified": False})
        return
    print_members(header)
    typer.echo()
    print_members(claims)
    typer.echo("\nnot verified: only its broker has the key, and only its ledger knows whether it was used")


@app.command()
def revoke(jti: Annotated[str, typer.Argument(metavar="JTI", help="The token's id, as the log shows it.")]) -> None:
    """Take back an own token that was not used yet."""
    with connect() as broker:
        broker.revoke(jti)
    typer.echo(f"revoked {jti}")


@app.command()
def keys() -> None:
    """Print the broker's public token keys.

    A JSON Web Key Set, with which helpers verify tokens; new at each start.
    """
    with connect() as broker:
        print_json(broker.keys())


def decode(text: bytes) -> tuple[dict[str, Json], dict[str, Json]]:
    """Take a compact JWS apart, strictly, without checking the signature.

    Raises:
        TokenError: It is none.
    """
    parts = text.strip().split(b".")
    if len(text) > MAX_TOKEN_BYTES or len(parts) != _PARTS:
        raise TokenError("standard input is not a token", hint="a token is three base64url parts with dots between them")
    header, claims = (_object(part) for part in parts[:2])
    return header, claims


def _object(part: bytes) -> dict[str, Json]:
    try:
        data = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
        value = canonical.decode(data, max_bytes=MAX_TOKEN_BYTES)
    except ValueError as exc:
        raise TokenError("standard input is not a token", hint="it may have been cut or changed") from exc
    if not isinstance(value, dict):
        raise TokenError("standard input is not a token", hint="it may have been cut or changed")
    return value

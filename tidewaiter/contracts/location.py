"""Where a member's bytes are: a folder, a web server, object storage, SFTP or a database.

A contract is passed around, so it holds no secret: a credential is the name of an environment
variable or of a Prefect Secret block. What fetches from these places is `flows/extract`; here is
only what a contract may say about them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Tag, field_validator, model_validator

from tidewaiter import fingerprint
from tidewaiter.contracts.remote import DatabaseLocation, HttpLocation, S3Location, SftpLocation
from tidewaiter.contracts.strict import Strict, VariableName, inside


class FolderLocation(Strict):
    """A folder of this machine, or one mounted on it: exactly one of env, home, member, path.

    Attributes:
        env: Name of an environment variable that holds a folder. Unset means nothing to land.
        home: Folder relative to `TIDEWAITER_HOME`.
        member: Folder relative to the member's own folder.
        path: Absolute folder, such as a mounted share.
    """

    kind: Literal["folder"] = "folder"
    env: VariableName | None = None
    home: str | None = None
    member: str | None = None
    path: Path | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(value is not None for value in (self.env, self.home, self.member, self.path)) != 1:
            raise ValueError("give exactly one of env, home, member, path")
        return self

    @field_validator("home", "member")
    @classmethod
    def _stays_inside(cls, value: str | None) -> str | None:
        return value if value is None else inside(value)

    @field_validator("path")
    @classmethod
    def _is_absolute(cls, value: Path | None) -> Path | None:
        if value is not None and (not value.is_absolute() or ".." in value.parts):
            raise ValueError("path must be absolute, without '..'")
        return value


RemoteLocation = HttpLocation | S3Location | SftpLocation | DatabaseLocation


def _kind_of(value: Any) -> str:
    found = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return str(found) if found else "folder"


Location = Annotated[
    Annotated[FolderLocation, Tag("folder")]
    | Annotated[HttpLocation, Tag("http")]
    | Annotated[S3Location, Tag("s3")]
    | Annotated[SftpLocation, Tag("sftp")]
    | Annotated[DatabaseLocation, Tag("database")],
    Discriminator(_kind_of),
]


def source_name(location: RemoteLocation, files: tuple[str, ...]) -> str:
    """Return the name under which a remote source keeps its record and its arrivals.

    Timeouts, credentials and other ways of getting there are left out: changing them fetches
    nothing again.
    """
    parts = location.model_dump(mode="json", include=set(location.identity))
    return f"{location.kind}-{fingerprint.of_json([parts, sorted(files)])[:12]}"

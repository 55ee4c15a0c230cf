"""All settings, read once from the environment (``DOJANG_*``) and an optional ``.env``; nothing else reads them."""

from __future__ import annotations

import base64
import getpass
import json
import os
import re
from datetime import date
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from state import UserError

SAMPLE = Path(__file__).parent / "sample"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in a container
        return "local"


class Settings(BaseSettings):
    """One frozen object, built by :func:`load_settings` and passed inward."""

    model_config = SettingsConfigDict(env_prefix="DOJANG_", env_file=".env", extra="ignore", frozen=True)

    home: Path = Field(Path("var"), description="where all run-time data lives")
    database_url: SecretStr | None = Field(None, description="a PostgreSQL with pgvector; empty: the embedded one")
    sessions: Literal["files", "postgres"] | None = Field(
        None,
        description="where sessions lie: `files` in the home, or `postgres`, in the database of DOJANG_DATABASE_URL; "
        "empty: there, where one is named and the home has none",
    )
    store: str = Field(
        "postgres", description="where documents lie: postgres, qdrant:FOLDER, or qdrant:URL of a Qdrant server"
    )
    store_api_key: SecretStr | None = Field(None, description="key of that Qdrant server")
    model: str = Field(
        "embedded",
        description="embedded, openai:NAME, the path of a LLaMA or GPT-NeoX checkpoint, or OWNER/NAME@REVISION in the "
        "local hub cache",
    )
    model_download: bool = Field(False, description="whether OWNER/NAME@REVISION may be downloaded")
    model_base_url: str | None = Field(None, description="base URL of an OpenAI-compatible endpoint")
    model_api_key: SecretStr | None = Field(None, description="its key")
    model_timeout_s: float = Field(60.0, gt=0, le=3600, description="seconds that one model call may take")
    model_retries: int = Field(1, ge=0, le=20, description="how often a failed call of an endpoint is tried again")
    model_budget_s: float = Field(90.0, gt=0, le=3600, description="seconds after which it is not tried again")
    model_strict: bool = Field(True, description="whether an endpoint is offered tools in OpenAI's strict form")
    model_prices: tuple[float, float] | None = Field(
        None, description="price of a million tokens read and of a million written, like `[0.15, 0.6]`"
    )
    model_server: Literal["vllm"] | None = Field(
        None,
        description="which server of one's own is behind that URL: `vllm` is given adapters of the registry while it "
        "runs, before a name moves to them; empty: it has those that its operator gave it",
    )
    model_server_adapters: str | None = Field(
        None,
        description="where that server finds the home's folder `registry/adapters`, as it calls it: `/adapters`; "
        "empty: at the same path",
    )
    adapter: str | None = Field(
        None,
        description="who speaks in new conversations: path of a LoRA adapter, `champion`, `candidate`, an id of the "
        "registry, a name at an endpoint; empty: the champion of this base, else the one that goes with the model",
    )
    adapters: dict[str, str] = Field({}, description="more adapters on the same base, as JSON: name to path")
    canary: float = Field(
        0.0, ge=0, le=1, description="share of new conversations that begin with the candidate instead of the champion"
    )
    shadow: bool = Field(
        False, description="whether the candidate is asked every turn of the champion's as well, for comparison only"
    )
    quantization: Literal["nf4", "int8", "bf16", "fp32"] = Field("nf4", description="how local weights are held")
    int8_threshold: float = Field(6.0, ge=0, description="activations above it stay in 16 bits, with int8; 0: none do")
    device: str = Field("auto", description="where local weights are: auto, cpu, cuda, cuda:1")
    allow_pickle: bool = Field(False, description="whether base weights that are no safetensors are loaded")
    embedding: str = Field(
        "minilm", description="minilm, openai:NAME, the path of an embedding model, or none: searched by words alone"
    )
    embedding_base_url: str | None = Field(None, description="base URL of an OpenAI-compatible endpoint")
    embedding_api_key: SecretStr | None = Field(None, description="its key")
    embedding_dimension: int | None = Field(
        None, ge=1, le=4000, description="length of the endpoint's vectors; empty: the endpoint is asked"
    )
    embedding_languages: list[Literal["ko", "en"]] = Field(["en"], description="languages that it knows")
    reranker: str = Field(
        "none", description="none, endpoint:NAME, or the path of a cross-encoder that orders what was found"
    )
    reranker_base_url: str | None = Field(None, description="base URL of an endpoint that speaks /rerank")
    reranker_api_key: SecretStr | None = Field(None, description="its key")
    document_mb: int = Field(
        20, ge=1, le=2000, description="largest document that is read in, in MB (1,048,576 bytes); also by HTTP"
    )
    ray_address: str = Field(
        "",
        description="Ray cluster of `dojang ingest --ray`, `auto` or `ray://host:10001`; its workers need Dojang "
        "and the same files at the same paths; empty: processes of this machine",
    )
    policy: Path = Field(SAMPLE / "policy.toml", description="the rules that say which call needs whom")
    hard_policy: Path = Field(SAMPLE / "hard.toml", description="rules that the policy cannot relax")
    tools: list[str] = Field(["tools.hotel"], description="modules whose tools the agent may use")
    model_reads: list[Literal["images", "pdf"]] = Field(
        [], description='what the model reads beside text, as in `["images", "pdf"]`; empty: nothing'
    )
    attachment_mb: int = Field(10, ge=1, le=100, description="largest file that may come with a message, in MB")
    attachment_megapixels: int = Field(40, ge=1, le=200, description="most pixels of an attached image, in millions")
    attachment_pages: int = Field(100, ge=1, le=2000, description="most pages of an attached PDF")
    attachments: int = Field(5, ge=0, le=20, description="files that may come with one message; 0: none are taken")
    mcp: Path | None = Field(
        None, description="file of the MCP servers whose tools the agent may use as well, an `mcp.toml`; empty: none"
    )
    mcp_token: SecretStr | None = Field(
        None,
        description="token of the person as whom `dojang mcp` acts; empty: it asks as the user and decides nothing",
    )
    user: str = Field(default_factory=_user, min_length=1, max_length=200, description="who decides, in records")
    roles: list[str] | None = Field(
        None, description="roles of that person, as in `manager,operator`; empty: not known, so none is asked for"
    )
    undo_s: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="seconds in which a decision can be taken back; empty: 5 on the console and on a card, else none",
    )
    feedback: Literal["never", "abstained", "always"] = Field(
        "never", description="after which answers a person is asked what they think of them"
    )
    keep_prompts: bool = Field(
        True, description="whether sessions keep what the model was given, so that decisions can be learned from"
    )
    person_arguments: list[str] = Field(
        [], description="arguments of tools that hold a person's name; datasets have other names there"
    )
    notify: str = Field("", description="command that is told of escalations and of calls that pass, as JSON on stdin")
    language: Literal["ko", "en"] | None = Field(None, description="language of commands and pages; empty: by locale")
    session_keys: Path | None = Field(None, description="file of the keys that seal the sessions; empty: not sealed")
    session_passphrase: SecretStr | None = Field(None, description="opens that file where it is locked")
    today: date | None = Field(None, description="pins the date that dates in words are counted from")
    passages_k: int = Field(4, ge=1, le=50, description="passages retrieved for a question")
    host: str = Field("127.0.0.1", description="address that `dojang serve` binds")
    port: int = Field(8723, ge=0, le=65535, description="port that `dojang serve` binds; 0: any free one")
    workers: int = Field(
        4,
        ge=0,
        le=64,
        description="runs that one server, or one `dojang work`, carries out at a time; 0: none by the server, where "
        "the sessions lie in PostgreSQL and `dojang work` carries them out",
    )
    queue: int = Field(1000, ge=1, le=1_000_000, description="runs that may wait; more are refused with 429")
    run_timeout_s: float | None = Field(
        None, gt=0, description="seconds after which a run of a server is stopped between two steps; empty: never"
    )
    events_keep_hours: float = Field(
        24.0, gt=0, le=87_600, description="hours after a run's end in which a resumable stream can be read again"
    )
    runs_keep_days: float = Field(
        30.0, gt=0, le=36_500, description="days after which a server forgets ended runs; the newest of a thread stays"
    )
    runs_keep: int = Field(100_000, ge=1, description="ended runs that it keeps at most, however young")

    public_hosts: list[str] = Field(
        [],
        description="names by which others reach the server, as browsers send them: `desk.example.com`",
    )
    cors_origins: list[str] = Field(
        [], description="other sites whose pages may call the API with a token, like `http://localhost:3000`"
    )
    rate_limit: str = Field(
        "1200/minute", description="requests that one person, or one unknown address, may make; empty: any number"
    )
    share_threads: bool = Field(
        False, description="whether everybody with a token sees every conversation, not only their own"
    )
    behind_tls: bool = Field(False, description="whether people reach the server by https, through a proxy")
    session_hours: float = Field(12.0, gt=0, le=720, description="hours after which somebody logs in again")
    oidc_issuer: str | None = Field(
        None, description="address of an OpenID provider with which people log in, exactly as it calls itself"
    )
    oidc_client_id: str = Field("", description="what the server is called there")
    oidc_client_secret: SecretStr | None = Field(None, description="its secret there; empty: it has none")
    oidc_scopes: str = Field(
        "openid profile email",
        description="what is asked of the provider; with `offline_access` it can be asked again whether somebody left",
    )
    oidc_name_claim: str = Field("name", description="claim with a person's display name")
    oidc_roles_claim: str = Field(
        "groups", description="claim with a person's groups; inner ones as in `realm_access.roles`"
    )
    oidc_roles: dict[str, list[str]] = Field(
        {}, description='which group gives which roles, as JSON: `{"desk-operators": ["operator"]}`'
    )
    oidc_domains: list[str] = Field([], description="mail domains whose people may log in; empty: any")
    oidc_audience: str | None = Field(
        None, description="audience of the provider's access tokens that programs may send; empty: none is taken"
    )
    oidc_recheck_minutes: float = Field(
        15.0, ge=0, le=1440, description="minutes after which the provider is asked again about somebody; 0: never"
    )
    oidc_tokens_decide: bool = Field(
        False, description="whether tokens made here decide reviews as well where people log in with a provider"
    )
    log_format: Literal["text", "json"] = Field("text", description="form of the server's log lines: text or json")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="which log lines the server writes; from `info` on one for each request"
    )
    metrics: bool = Field(True, description="whether the server counts what it does, for `/metrics`")
    traces: bool = Field(
        False, description="whether spans of runs are sent to the collector that `OTEL_EXPORTER_OTLP_ENDPOINT` names"
    )

    webhook_secret: SecretStr | None = Field(
        None, description="signs what webhooks are told: `whsec_` and base64, or 24 characters or more; empty: none is"
    )
    webhook_hosts: list[str] = Field(
        [], description="the only hosts that webhooks may name, `.example.com` for all under it; empty: any public one"
    )
    webhook_loopback: bool = Field(False, description="whether webhooks may name this machine, by http as well")

    @field_validator("*", mode="before")
    @classmethod
    def _unset(cls, given: object, info: ValidationInfo) -> object:
        """An empty text for what may be left away is none: a compose file has no other way to leave it away."""
        return None if given == "" and cls.model_fields[str(info.field_name)].default is None else given

    @field_validator("webhook_secret")
    @classmethod
    def _a_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        told = secret.get_secret_value() if secret is not None else None
        if told is not None and told.startswith("whsec_"):
            try:
                told = base64.b64decode(told[6:], validate=True).decode("latin-1")
            except ValueError:
                raise ValueError("what comes after whsec_ must be base64") from None
        if told is not None and len(told) < 24:
            raise ValueError("must have 24 bytes or more: `openssl rand -base64 32` makes one")
        return secret

    @field_validator("home", "policy", "hard_policy", "session_keys", "mcp")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return path and path.expanduser().absolute()

    @field_validator("roles", mode="before")
    @classmethod
    def _listed(cls, roles: object) -> object:
        if not isinstance(roles, str):
            return roles
        return [role.strip() for role in roles.split(",") if role.strip()] or None

    @field_validator("store")
    @classmethod
    def _known_store(cls, store: str) -> str:
        if store != "postgres" and not store.removeprefix("qdrant:").strip():
            raise ValueError("must name a folder or a URL after qdrant:")
        if store != "postgres" and not store.startswith("qdrant:"):
            raise ValueError("must be postgres, qdrant:FOLDER or qdrant:URL")
        return store

    @field_validator("rate_limit")
    @classmethod
    def _a_rate(cls, rate: str) -> str:
        if rate.strip() and not re.fullmatch(r"[1-9]\d{0,8} ?/ ?(second|minute|hour)", rate.strip()):
            raise ValueError("must be like 1200/minute")
        return rate.strip()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What was given, the environment, and ``.env`` where it says anything: a source looks at every field."""
        silent = isinstance(dotenv_settings, DotEnvSettingsSource) and not dotenv_settings.env_vars
        return (init_settings, env_settings) if silent else (init_settings, env_settings, dotenv_settings)

    @property
    def threads(self) -> Path:
        """The folder of session folders."""
        return self.home / "threads"


def outside() -> dict[str, str]:
    """The environment as it is, of which an MCP server is given what its table names, and nothing else."""
    return dict(os.environ)


def secrets_of(settings: Settings) -> list[str]:
    """Everything secret that this process was started with, value by value, so that it can be kept out of what it says.

    Secrets and passwords in addresses of the settings, and what libraries find in the environment under names like
    ``LANGSMITH_API_KEY`` or ``OTEL_EXPORTER_OTLP_HEADERS``.
    """
    given = [getattr(settings, name) for name in type(settings).model_fields]
    texts = [value.get_secret_value() if isinstance(value, SecretStr) else value for value in given]
    found = [value.get_secret_value() for value in given if isinstance(value, SecretStr)]
    for text in texts:
        if isinstance(text, str):
            found += [unquote(password) for password in _PASSWORD.findall(text)] + _PASSWORD.findall(text)
            found += _PASSWORD_WORD.findall(text)
    named = [value for name, value in os.environ.items() if _SECRET_NAME.search(name)]
    return found + [part for value in named for part in (value, *re.findall(r"=([^,]+)", value))]


_PASSWORD: Final = re.compile(r"://[^\s:/@]*:([^\s/@]+)@")
_PASSWORD_WORD: Final = re.compile(r"\bpassword\s*=\s*'?([^\s']+)")
_SECRET_NAME: Final = re.compile(r"(?i)(?:_KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE|_OTLP\w*_HEADERS)$")


class BadSetting(UserError):
    """A setting that cannot be used; the message names the variable, the value and the range."""


def load_settings(**overrides: object) -> Settings:
    """The settings from the environment, with overrides (from a command line) on top.

    Raises:
        BadSetting: naming the variable, the value that was given and what it must be.
    """
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except SettingsError as error:
        found = re.search(r'field "(\w+)"', str(error))
        variable = f"DOJANG_{found[1].upper() if found else ''}"
        raise BadSetting(f'setting {variable}: the value is not JSON; write a list like ["one"]') from None
    except ValidationError as error:
        first = error.errors()[0]
        name = "DOJANG_" + "_".join(str(part) for part in first["loc"]).upper()
        secret = any(word in name for word in ("KEY", "URL", "SECRET", "PASS"))
        given = "" if secret else f" (given: {first.get('input')!r})"
        raise BadSetting(f"setting {name}: {first['msg']}{given}") from None


def settings_table() -> str:
    """The settings as a Markdown table: variable, default, meaning. ``docs/settings.md`` holds exactly this."""
    rows = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "the user's name" if field.default_factory is not None else _shown(field.default)
        rows.append(f"| `DOJANG_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(rows)


def _shown(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, Path) and default.is_absolute():
        return f"the sample's `{default.name}`"
    return f"`{json.dumps(default)}`" if isinstance(default, list) else f"`{default}`"


if __name__ == "__main__":
    print(f"# Settings\n\nEnvironment variables, or a `.env` file in the working directory.\n\n{settings_table()}")

"""What stands in ``deploy/`` fits the program: settings, commands, ports, probes, times, and nobody is root.

No image is built here: what a registry or a cluster would say is not known. Their schemas are looked at by hand, see
docs/log/gate.md.
"""

from __future__ import annotations

import io
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from dojang.__main__ import main
from dojang.server.access.table import OPEN, TABLE
from dojang.server.hooks.posting import TIMEOUT_S
from dojang.server.work.work import DRAIN_S, PATIENCE_S
from dojang.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
PORT = 8723
NEEDED_S = DRAIN_S + PATIENCE_S + TIMEOUT_S + 5
"""What an orderly end may take: a call that is on its way, what is told afterwards, and the last answers."""
GIVEN = {
    "POSTGRES_PASSWORD": "of-the-tests",
    "DOJANG_PUBLIC_HOSTS": '["desk.example.com"]',
    "TORCH_INDEX": "",
    "HF_TOKEN": "",
}
"""What an operator writes into deploy/.env."""

PROBES = {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}

OURS = ("server", "worker", "ingest", "train")
"""The services of compose that run our image."""

Document = dict[str, Any]


def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def compose() -> Document:
    """As compose reads it, with the variables put in."""

    def put(found: re.Match[str]) -> str:
        name, how, otherwise = found["name"], found["how"], found["otherwise"]
        assert how or name in GIVEN, f"{name} is neither given nor has a default"
        return GIVEN.get(name) or (otherwise if how == ":-" else "")

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<otherwise>[^}]*))?\}", put, value)
        if isinstance(value, list):
            return [filled(one) for one in value]
        return {name: filled(one) for name, one in value.items()} if isinstance(value, dict) else value

    read: Document = filled(yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8")))
    return read


def manifests() -> Iterator[Document]:
    for path in MANIFESTS:
        yield from yaml.safe_load_all(path.read_text(encoding="utf-8"))


def of_kind(kind: str) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for one in manifests() if one["kind"] == kind}


def pods() -> dict[str, Document]:
    """The pod of everything of ours that makes some."""
    kinds = ("Deployment", "StatefulSet", "Job")
    found = {name: one["spec"]["template"] for kind in kinds for name, one in of_kind(kind).items()}
    return {name: pod for name, pod in found.items() if "dojang" in container(pod)["image"]}


def container(pod: Document) -> Document:
    [only] = pod["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def environments() -> dict[str, dict[str, str]]:
    """What each of our processes is given, by where it stands."""
    of_image = dict(re.findall(r"^\s+(?:ENV )?(DOJANG_\w+)=(\S+)", dockerfile(), re.MULTILINE))
    found = {f"compose {name}": of_image | compose()["services"][name]["environment"] for name in OURS}
    [shared] = of_kind("ConfigMap").values()
    [secret] = of_kind("Secret").values()
    for name, pod in pods().items():
        own = {each["name"]: each["value"] for each in container(pod).get("env", [])}
        found[f"pod {name}"] = of_image | shared["data"] | secret["stringData"] | own
    return found


def commands() -> dict[str, list[str]]:
    found = {f"compose {name}": compose()["services"][name]["command"] for name in OURS}
    found |= {f"pod {name}": container(pod)["args"] for name, pod in pods().items()}
    found["image"] = json.loads(re.findall(r"^CMD (.*)", dockerfile(), re.MULTILINE)[-1])
    return found


@pytest.mark.parametrize("where", [*(f"compose {name}" for name in OURS), *(f"pod {name}" for name in pods())])
def test_what_a_process_is_given_are_settings_with_values_that_they_take(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = environments()[where]
    known = {f"DOJANG_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in given if name.startswith("DOJANG_")} - known == set()
    for name, value in given.items():
        assert isinstance(value, str), f"{name}: {value!r} is no text, and compose and Kubernetes take nothing else"
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.sessions == "postgres"
    assert settings.database_url is not None
    serves = where.endswith("server")
    assert (settings.workers == 0) == serves, "the server carries out nothing, the others do"
    if serves:
        assert (settings.host, settings.port) == ("0.0.0.0", PORT)
        assert settings.public_hosts


def test_the_example_of_the_environment_names_what_compose_asks_for() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    named = set(re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\$\{(\w+):\?", text)) <= named <= set(re.findall(r"\$\{(\w+)", text))


@pytest.mark.parametrize("where", [*commands()])
def test_what_is_started_is_a_command_with_these_options(where: str) -> None:
    words = commands()[where]
    verbs = list(takewhile(lambda word: not word.startswith("--"), words))
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        assert main([*verbs, "--help"]) == 0, said.getvalue()
    assert [word for word in words if word.startswith("--") and word not in said.getvalue()] == []


def test_the_image_holds_what_the_package_is_made_of_and_the_same_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*)", dockerfile(), re.MULTILINE) for word in line.split()}
    wanted = set(project["tool"]["hatch"]["build"]["only-include"])
    assert wanted | {"pyproject.toml", "constraints.txt", project["project"]["readme"], "LICENSE"} <= copied
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert {f"!{name}" for name in copied - {"./"}} <= set(kept)
    [pinned] = [each for each in project["project"]["dependencies"] if each.startswith("torch==")]
    assert set(re.findall(r"torch==[\d.]+", dockerfile())) == {pinned}
    assert f"{pinned}\n" in (ROOT / "constraints.txt").read_text(encoding="utf-8")
    least = project["project"]["requires-python"].removeprefix(">=")
    assert set(re.findall(r"^FROM python:([\d.]+)-slim", dockerfile(), re.MULTILINE)) == {least}
    assert set(re.findall(r"\.\[(\w+)\]", dockerfile())) <= set(project["project"]["optional-dependencies"])


def test_nobody_is_root_and_nothing_more_than_it_needs() -> None:
    [user] = re.findall(r"^USER (\d+):\d+", dockerfile(), re.MULTILINE)
    assert int(user) > 0
    assert f"--uid {user}" in dockerfile()
    for name, pod in pods().items():
        whole, own = pod["spec"]["securityContext"], container(pod)["securityContext"]
        assert (whole["runAsNonRoot"], whole["runAsUser"], whole["fsGroup"]) == (True, int(user), int(user)), name
        assert (own["allowPrivilegeEscalation"], own["readOnlyRootFilesystem"]) == (False, True), name
        assert own["capabilities"] == {"drop": ["ALL"]}, name
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        assert pod["spec"]["enableServiceLinks"] is False, "a service called dojang-… would set DOJANG_… variables"
    for name in ("server", "worker"):
        service = compose()["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_ports_and_probes_are_the_servers() -> None:
    server = container(pods()["dojang-server"])
    assert [port["containerPort"] for port in server["ports"]] == [PORT]
    assert compose()["services"]["server"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    assert re.findall(r"^EXPOSE (\d+)", dockerfile(), re.MULTILINE) == [str(PORT)]
    assert f"'DOJANG_PORT', '{PORT}'" in health_check()[-1]
    service = of_kind("Service")["dojang-server"]
    assert {port["targetPort"] for port in service["spec"]["ports"]} == {server["ports"][0]["name"]}
    for probe, path in PROBES.items():
        asked = server[probe]["httpGet"]
        assert (asked["path"], asked["port"]) == (path, "http")
        assert TABLE["GET", path] == OPEN
        [header] = asked["httpHeaders"]
        assert header == {"name": "Host", "value": f"127.0.0.1:{PORT}"}, "a pod's own address is no name of the server"
    assert server["readinessProbe"]["timeoutSeconds"] > 1, "/readyz waits a second for what does not answer"


def test_a_worker_says_how_it_is_where_probes_and_prometheus_ask() -> None:
    worker = container(pods()["dojang-worker"])
    [port] = worker["ports"]
    verb, option, address = worker["args"]
    assert (verb, option, address) == ("work", "--listen", f"0.0.0.0:{port['containerPort']}")
    for probe, path in PROBES.items():
        asked = worker[probe]["httpGet"]
        assert (asked, TABLE["GET", path]) == ({"path": path, "port": port["name"]}, OPEN)
    assert worker["readinessProbe"]["timeoutSeconds"] > 1
    service = compose()["services"]["worker"]
    assert service["command"][:2] == ["work", "--listen"]
    assert f"http://{service['command'][2]}/readyz" in service["healthcheck"]["test"][-1]
    for name, listens in (("dojang-server", PORT), ("dojang-worker", port["containerPort"])):
        told = {key.removeprefix("prometheus.io/"): value for key, value in noted_on(name).items()}
        assert told == {"scrape": "true", "port": str(listens), "path": "/metrics"}
    assert ("GET", "/metrics") in TABLE


def noted_on(name: str) -> dict[str, str]:
    found: dict[str, str] = pods()[name]["metadata"]["annotations"]
    return found


def health_check() -> list[str]:
    [said] = re.findall(r"^HEALTHCHECK [^\n]*\\\n\s+CMD (\[.*\])$", dockerfile(), re.MULTILINE)
    words = json.loads(said)
    assert isinstance(words, list)
    return [str(word) for word in words]


def test_an_end_is_given_the_time_that_it_may_take() -> None:
    for name in ("server", "worker"):
        assert _seconds(compose()["services"][name]["stop_grace_period"]) >= NEEDED_S
        assert pods()[f"dojang-{name}"]["spec"]["terminationGracePeriodSeconds"] >= NEEDED_S
    assert "STOPSIGNAL SIGTERM" in dockerfile()


def _seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


def test_two_servers_and_any_number_of_workers_that_go_one_after_the_other() -> None:
    server, worker = of_kind("StatefulSet")["dojang-server"]["spec"], of_kind("Deployment")["dojang-worker"]["spec"]
    assert server["replicas"] > 1
    assert worker["replicas"] > 1
    [home] = server["volumeClaimTemplates"]
    assert home["metadata"]["name"] in {each["name"] for each in container(server["template"])["volumeMounts"]}
    assert home["spec"]["accessModes"] == ["ReadWriteOncePod"], "one home is one server"
    budgets = of_kind("PodDisruptionBudget")
    for name, spec in (("dojang-server", server), ("dojang-worker", worker)):
        assert (budgets[name]["spec"]["maxUnavailable"], budgets[name]["spec"]["selector"]) == (1, spec["selector"])
    for spec in (server, worker):
        assert _matches(spec["selector"]["matchLabels"], spec["template"]["metadata"]["labels"])
    service = of_kind("Service")["dojang-server"]
    assert service["spec"]["selector"] == server["selector"]["matchLabels"]
    assert service["metadata"]["name"] == server["serviceName"]
    assert service["spec"]["sessionAffinity"] == "ClientIP", "an upload is shown by the server that took it"


def test_the_network_lets_in_what_serves_and_out_what_is_called() -> None:
    policies = {name: one["spec"] for name, one in of_kind("NetworkPolicy").items()}
    labels = {name: pod["metadata"]["labels"] for name, pod in pods().items()}
    everybody = policies["dojang"]
    assert all(_matches(everybody["podSelector"]["matchLabels"], each) for each in labels.values())
    assert everybody["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in everybody, "nobody comes in who is not named below"
    assert {port["port"] for rule in everybody["egress"] for port in rule["ports"]} == {53, 5432, 8000}
    let_in = policies["dojang-server"]["podSelector"]["matchLabels"]
    assert [name for name, each in labels.items() if _matches(let_in, each)] == ["dojang-server"]
    measured = policies["dojang-worker"]["podSelector"]["matchLabels"]
    assert [name for name, each in labels.items() if _matches(measured, each)] == ["dojang-worker"]
    [rule] = policies["dojang-worker"]["ingress"]
    assert rule["from"] == policies["dojang-server"]["ingress"][1]["from"], "Prometheus alone"
    assert [port["port"] for port in rule["ports"]] == [container(pods()["dojang-worker"])["ports"][0]["name"]]


def _matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_volumes_are_there_and_the_adapters_are_shared() -> None:
    claims = of_kind("PersistentVolumeClaim")
    assert claims["dojang-adapters"]["spec"]["accessModes"] == ["ReadWriteMany"]
    [home] = re.findall(r"^\s+DOJANG_HOME=(\S+)", dockerfile(), re.MULTILINE)
    for name, pod in pods().items():
        own = of_kind("StatefulSet").get(name, {"spec": {"volumeClaimTemplates": []}})["spec"]["volumeClaimTemplates"]
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        volumes |= {each["metadata"]["name"]: each for each in own}
        mounts = {each["mountPath"]: each["name"] for each in container(pod)["volumeMounts"]}
        assert set(mounts.values()) == set(volumes), name
        assert {home, "/tmp"} <= set(mounts), name
        kept = [each["persistentVolumeClaim"] for each in volumes.values() if "persistentVolumeClaim" in each]
        assert {each["claimName"] for each in kept} <= set(claims), name
        if name != "dojang-first-token":
            shared = volumes[mounts[f"{home}/registry"]]
            assert shared["persistentVolumeClaim"]["claimName"] == "dojang-adapters"
    services = compose()["services"]
    for name in ("server", "worker"):
        assert f"adapters:{home}/registry" in services[name]["volumes"]
    named = {each.partition(":")[0] for service in services.values() for each in service.get("volumes", [])}
    assert {each for each in named if not each.startswith(("/", "."))} == set(compose()["volumes"])


def test_no_secret_stands_in_the_files() -> None:
    [secret] = of_kind("Secret").values()
    assert [name for name, value in secret["stringData"].items() if "REPLACE-ME" not in value] == []
    assert re.findall(r"^POSTGRES_PASSWORD=(.*)", (DEPLOY / "env.example").read_text(encoding="utf-8"), re.M) == [""]
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


def test_everything_that_kubernetes_is_given_at_once_is_listed() -> None:
    [listed] = [one["resources"] for one in manifests() if one["kind"] == "Kustomization"]
    alone = {"kustomization.yaml", "first-token.yaml", "ingest.yaml", "train.yaml", "vllm.yaml"}
    assert set(listed) == {path.name for path in MANIFESTS} - alone


def test_vllm_may_be_given_adapters_and_nobody_but_ours_reaches_it() -> None:
    vllm = compose()["services"]["vllm"]
    pod = of_kind("Deployment")["vllm"]["spec"]["template"]["spec"]["containers"][0]
    for given in (vllm["environment"], {one["name"]: one.get("value") for one in pod["env"]}):
        assert given["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    words = " ".join(vllm["command"])
    assert "--enable-lora" in words
    assert "--api-key" in words
    assert "ports" not in vllm, "it is published nowhere"
    policy = of_kind("NetworkPolicy")["vllm"]["spec"]
    assert policy["ingress"][0]["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "dojang"}}}]
    [adapters] = [each for each in vllm["volumes"] if each.startswith("adapters:")]
    seen = adapters.split(":")[1]
    for where in ("compose server", "pod dojang-server", "pod dojang-worker"):
        assert environments()[where]["DOJANG_MODEL_SERVER_ADAPTERS"] == f"{seen}/adapters"
    assert {"name": "adapters", "mountPath": seen, "readOnly": True} in pod["volumeMounts"]


def test_what_is_cut_off_is_started_again() -> None:
    for name in ("dojang-ingest", "dojang-train"):
        assert of_kind("Job")[name]["spec"]["backoffLimit"] > 0
    assert f"--ray {pods()['dojang-ingest']['spec']['containers'][0]['args'][-1]}" == "--ray 4"
    train = container(pods()["dojang-train"])
    assert train["args"][-1] == str(train["resources"]["limits"]["nvidia.com/gpu"])

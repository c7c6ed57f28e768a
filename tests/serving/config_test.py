"""The example configuration of TensorFlow Serving."""

import pathlib
import re

import kubernetes_validate
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from google.protobuf import text_format
from jsonschema import Draft202012Validator
from tensorflow_serving.config import model_server_config_pb2

from serving.limits import Limits

CONFIG = pathlib.Path(__file__).absolute().parents[2] / "serving" / "config"


def read(name):
    return (CONFIG / name).read_text(encoding="utf-8")


def test_models():
    # The commented-out parts must be valid, too.
    text = re.sub(r"^    # ( *(?:\w+ \{|\w+: \S+|\}))$", r"\1", read("models.config"), flags=re.M)
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    (model,) = config.model_config_list.config
    assert (model.name, model.base_path) == ("awd_lstm", "/models/awd_lstm")
    versions = model.model_version_policy.specific.versions
    assert versions and set(model.version_labels.values()) <= set(versions)


def test_batching():
    text = read("batching.config")
    (largest,) = re.findall(r"^max_batch_size \{ value: (\d+) \}", text, re.M)
    sizes = [int(size) for size in re.findall(r"^allowed_batch_sizes: (\d+)", text, re.M)]
    assert sizes == sorted(sizes) and sizes[-1] == int(largest) <= Limits().max_batch_size


def test_docker_compose_and_kubernetes():
    compose = yaml.safe_load(read("docker-compose.yaml"))
    Draft202012Validator(get_builtin_schema("vendor.compose-spec")).validate(compose)
    deployment, service = resources = list(yaml.safe_load_all(read("kubernetes.yaml")))
    for resource in resources:
        kubernetes_validate.validate(resource, "1.30", strict=True)
    (compose_service,) = compose["services"].values()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == compose_service["image"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == ports
    for argument in [*compose_service["command"], *container["args"]]:
        name, _, value = argument.partition("=")
        if name.endswith("_file"):
            assert (CONFIG / pathlib.Path(value).relative_to("/config")).is_file()

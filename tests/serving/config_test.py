"""The files that TensorFlow Serving is started with hold, against the schemas of who reads them."""

import pathlib
import re

import kubernetes_validate
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from jsonschema import Draft202012Validator
from tensorflow_serving.config import model_server_config_pb2

FOLDER = pathlib.Path(__file__).absolute().parents[2] / "serving" / "config"

# The server's own files, of which its Python package has no messages:
# servables/tensorflow/session_bundle_config.proto and config/monitoring_config.proto.
SCHEMA = """
name: "server.proto" package: "server" syntax: "proto3"
dependency: "google/protobuf/wrappers.proto"
message_type { name: "BatchingParameters"
  field { name: "max_batch_size" number: 1 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value" label: LABEL_OPTIONAL }
  field { name: "batch_timeout_micros" number: 2 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value" label: LABEL_OPTIONAL }
  field { name: "max_enqueued_batches" number: 3 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value" label: LABEL_OPTIONAL }
  field { name: "num_batch_threads" number: 4 type: TYPE_MESSAGE type_name: ".google.protobuf.Int64Value" label: LABEL_OPTIONAL }
  field { name: "allowed_batch_sizes" number: 6 type: TYPE_INT64 label: LABEL_REPEATED }
  field { name: "pad_variable_length_inputs" number: 7 type: TYPE_BOOL label: LABEL_OPTIONAL }
}
message_type { name: "PrometheusConfig"
  field { name: "enable" number: 1 type: TYPE_BOOL label: LABEL_OPTIONAL }
  field { name: "path" number: 2 type: TYPE_STRING label: LABEL_OPTIONAL }
}
message_type { name: "MonitoringConfig"
  field { name: "prometheus_config" number: 1 type: TYPE_MESSAGE type_name: ".server.PrometheusConfig" label: LABEL_OPTIONAL }
}
"""  # noqa: E501


def message(name):
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = text_format.Parse(SCHEMA, descriptor_pb2.FileDescriptorProto())
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"server.{name}"))()


def read(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def parse(name, into):
    return text_format.Parse(read(name), into)


def uncommented(name):
    """The file with its commented parts in force: what a user does with them has to hold too."""
    text = re.compile(r"^    # ( *(?:\w+ \{|\w+: \S+|\}))$", re.MULTILINE)
    return text.sub(r"\1", read(name))


class TestModels:
    def test_one_model_of_the_folder_that_is_mounted(self):
        [model] = parse(
            "models.config", model_server_config_pb2.ModelServerConfig()
        ).model_config_list.config
        assert (model.name, model.base_path) == ("awd_lstm", "/models/awd_lstm")
        assert model.model_platform == "tensorflow"

    def test_what_is_commented_out_holds(self):
        text = uncommented("models.config")
        [model] = text_format.Parse(
            text, model_server_config_pb2.ModelServerConfig()
        ).model_config_list.config
        versions = list(model.model_version_policy.specific.versions)
        assert versions == [1, 2]
        assert set(model.version_labels.values()) <= set(versions)
        assert set(model.version_labels) == {"stable", "canary"}


class TestBatching:
    def test_the_rules_of_the_server(self):
        batching = parse("batching.config", message("BatchingParameters"))
        sizes = list(batching.allowed_batch_sizes)
        assert sizes == sorted(set(sizes))
        assert sizes[-1] == batching.max_batch_size.value
        assert batching.num_batch_threads.value >= 1
        assert batching.pad_variable_length_inputs

    def test_batches_are_within_the_limit_of_the_graph(self):
        from serving.limits import Limits

        batching = parse("batching.config", message("BatchingParameters"))
        assert batching.max_batch_size.value <= Limits().max_batch_size

    def test_an_unknown_field_is_found(self):
        with pytest.raises(text_format.ParseError):
            text_format.Parse("max_batches: 3", message("BatchingParameters"))


def test_monitoring():
    monitoring = parse("monitoring.config", message("MonitoringConfig"))
    assert monitoring.prometheus_config.enable
    [deployment, _] = yaml.safe_load_all(read("kubernetes.yaml"))
    annotations = deployment["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == monitoring.prometheus_config.path


def assert_files_exist(arguments):
    for argument in arguments:
        name, _, value = argument.removeprefix("--").partition("=")
        if name.endswith("_file"):
            assert value.startswith("/config/") and (FOLDER / value[len("/config/") :]).is_file()


class TestDockerCompose:
    @pytest.fixture
    def compose(self):
        return yaml.safe_load(read("docker-compose.yaml"))

    def test_the_schema(self, compose):
        Draft202012Validator(get_builtin_schema("vendor.compose-spec")).validate(compose)

    def test_the_schema_finds_a_slip(self, compose):
        compose["services"]["tensorflow-serving"]["imag"] = "x"
        assert not Draft202012Validator(get_builtin_schema("vendor.compose-spec")).is_valid(compose)

    def test_it_starts_on_a_machine_of_any_number_of_cores(self, compose):
        # Docker refuses a limit above the cores of the machine.
        [service] = compose["services"].values()
        assert "cpus" not in service["deploy"]["resources"]["limits"]

    def test_what_it_starts(self, compose):
        [service] = compose["services"].values()
        assert_files_exist(service["command"])
        assert {volume["target"] for volume in service["volumes"]} == {"/models", "/config"}
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert "/v1/models/awd_lstm/metadata" in " ".join(service["healthcheck"]["test"])


class TestKubernetes:
    @pytest.fixture
    def resources(self):
        return list(yaml.safe_load_all(read("kubernetes.yaml")))

    def test_the_schema(self, resources):
        for resource in resources:
            kubernetes_validate.validate(resource, "1.30", strict=True)

    def test_the_schema_finds_a_slip(self, resources):
        resources[0]["spec"]["template"]["spec"]["container"] = []
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(resources[0], "1.30", strict=True)

    def test_names_agree(self, resources):
        deployment, service = resources
        assert (deployment["kind"], service["kind"]) == ("Deployment", "Service")
        pod = deployment["spec"]["template"]
        labels = pod["metadata"]["labels"]
        assert labels == deployment["spec"]["selector"]["matchLabels"]
        assert labels == service["spec"]["selector"]
        [container] = pod["spec"]["containers"]
        assert_files_exist(container["args"])
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports == {"grpc": 8500, "rest": 8501}
        assert {port["targetPort"] for port in service["spec"]["ports"]} == set(ports)
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in pod["spec"]["volumes"]}
        assert set(container["resources"]) == {"requests", "limits"}
        probes = [container[f"{kind}Probe"] for kind in ("startup", "readiness")]
        for probe in probes:
            assert probe["httpGet"] == {"path": "/v1/models/awd_lstm/metadata", "port": "rest"}
        assert container["livenessProbe"]["tcpSocket"] == {"port": "grpc"}

    def test_the_image_is_that_of_docker_compose(self, resources):
        [service] = yaml.safe_load(read("docker-compose.yaml"))["services"].values()
        [container] = resources[0]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == service["image"]
        assert re.fullmatch(r"tensorflow/serving:2\.\d+\.\d+", container["image"])

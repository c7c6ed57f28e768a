"""pytest_test and pytest_tests: a py_test that runs pytest on its sources."""

load("@rules_python//python:py_test.bzl", "py_test")

def pytest_test(name, srcs, deps = [], **kwargs):
    """Makes a py_test whose main is pytest over srcs.

    Args:
      name: the target's name.
      srcs: test files of the calling package.
      deps: what the tests import; pytest and the root conftest are added.
      **kwargs: passed on to py_test.
    """
    py_test(
        name = name,
        srcs = srcs + ["//tests:pytest_main.py"],
        main = "//tests:pytest_main.py",
        args = [native.package_name() + "/" + src for src in srcs],
        deps = depset(deps + ["//:conftest", "@pypi//pytest"]).to_list(),
        **kwargs
    )

def pytest_tests(deps = [], size = "medium", exclude = [], **kwargs):
    """Makes one pytest_test for every *_test.py of the calling package, named after the file.

    Args:
      deps: what the tests import.
      size: Bazel's size of each test.
      exclude: files that have a target of their own.
      **kwargs: passed on to pytest_test.
    """
    for src in native.glob(["*_test.py"], exclude = exclude):
        pytest_test(
            name = src[:-len(".py")],
            size = size,
            srcs = [src],
            deps = deps,
            **kwargs
        )

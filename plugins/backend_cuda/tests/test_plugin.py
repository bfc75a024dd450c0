"""What every plugin promises: light to import, every string resolves, records and names are right."""

from core.testing import check_plugin


def test_the_plugin_keeps_its_promises():
    check_plugin("plugin-backend-cuda")

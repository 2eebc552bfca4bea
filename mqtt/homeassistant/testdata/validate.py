"""Holds a discovery of siskin against Home Assistant's own schemas, and states against its own entities' rules.

    python3.13 -m venv venv && venv/bin/pip install homeassistant paho-mqtt
    mkdir out && SISKIN_TEST_DISCOVERY=$PWD/out go test -count=1 -run TestDiscovery ./mqtt/homeassistant
    venv/bin/python mqtt/homeassistant/testdata/validate.py out/discovery.json
"""
import asyncio
import importlib
import json
import sys
import tempfile

from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers import frame


async def main(path):
    hass = HomeAssistant(tempfile.mkdtemp())
    frame.async_setup(hass)  # templates want to know where they are
    with open(path) as f:
        payload = json.load(f)
    DEVICE_DISCOVERY_SCHEMA(json.loads(json.dumps(payload)))
    shared = {k: v for k, v in payload.items() if k != "components"}
    for key, component in payload["components"].items():
        if set(component) == {"platform"}:
            print(f"{key}: an entity that was there is taken away")
            continue
        config = json.loads(json.dumps(shared | component))
        platform = config.pop("platform")
        checked = importlib.import_module(f"homeassistant.components.mqtt.{platform}").DISCOVERY_SCHEMA(config)
        lost = [k for k in component if k != "platform" and k not in checked]
        if lost:
            raise SystemExit(f"{key}: {platform} drops {lost}")
        print(f"{key}: {platform} is valid")
    print(f"Home Assistant {__version__}: {len(payload['components'])} components are valid")
    await hass.async_stop(force=True)


asyncio.run(main(sys.argv[1]))

"""Where Piccolo looks for the engine and the apps."""

from piccolo.conf.apps import AppRegistry

from app.database import database

DB = database
APP_REGISTRY = AppRegistry(apps=["app.piccolo_app"])

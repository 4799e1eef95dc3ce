"""Run the router."""

from tierproof_router.handlers import service

service.run()

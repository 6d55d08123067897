"""The catalog service's function. Its routes answer 501 to those who may call them; the code behind them is to come."""

from lambdas.catalog.routes import ROUTES
from lambdas.common.service import entry_point, unimplemented_service

build = unimplemented_service(ROUTES)
handler = entry_point(build)

"""The post service's function. Its routes answer 501 to those who may call them; the code behind them is to come."""

from lambdas.common.service import entry_point, unimplemented_service
from lambdas.post.routes import ROUTES

build = unimplemented_service(ROUTES)
handler = entry_point(build)

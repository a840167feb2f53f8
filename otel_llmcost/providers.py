from otel_llmcost.pricing.providers import *  # noqa
from otel_llmcost.pricing.providers import normalise_provider

"""The operator log: events as key=value lines through the standard logging module."""

from __future__ import annotations

import logging

import structlog

__all__ = ["log"]


log = structlog.wrap_logger(
    logging.getLogger("sluicegate"),
    processors=[
        structlog.stdlib.add_log_level,
        structlog.processors.LogfmtRenderer(key_order=["event"], drop_missing=True, bool_as_flag=False),
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
)
"""Events for operators, through the standard logging module: facts as keys, never bodies, never credentials."""

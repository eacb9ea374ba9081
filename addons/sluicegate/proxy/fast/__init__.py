"""Cheaper ways through mitmproxy's hook dispatch; SLUICEGATE_FAST=0 turns them off."""

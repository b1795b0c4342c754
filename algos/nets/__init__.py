"""Shared parts of the algorithms: task-batched layers and backbones."""

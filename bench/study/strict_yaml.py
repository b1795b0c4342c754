"""YAML that says what it seems to say: keys that occur once, whole numbers in tens.

YAML readers keep the last of two equal keys without a word, and take `0100` for 64 and `1:30` for 90.
"""

import re

import yaml
from yaml.constructor import ConstructorError

OTHER_BASE = re.compile(r"[-+]?(0[0-9_]+$|.*:)")
"""Numbers of base 8 or 60 that look as if they were of base 10; `0x10` and `0b10` do not."""


class StrictLoader(yaml.SafeLoader):
    """Reads plain values as `yaml.safe_load` does, but for two errors, which name the line.

    A key that occurs twice in one mapping, and a number that is not the one that it looks like.
    """

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        """Compose a mapping as it is written, before `<<` merges other keys into it: merged keys may be overridden."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if (key.tag, key.value) in lines:
                    first = lines[key.tag, key.value]
                    problem = (
                        f"the key {key.value!r} occurs twice, in lines {first} and {line}; keep one of them"
                    )
                    raise ConstructorError(None, None, problem, key.start_mark)
                lines[key.tag, key.value] = line
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """Return the value of a node."""
        value = super().construct_object(node, deep)
        if isinstance(value, int | float) and OTHER_BASE.match(str(node.value)):
            problem = f"YAML takes {node.value} for {value}; write the number in tens, or a text in quotes"
            raise ConstructorError(None, None, problem, node.start_mark)
        return value

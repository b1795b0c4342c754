"""YAML whose mappings hold each key once. YAML readers keep the last of two equal keys without a word."""

import yaml
from yaml.constructor import ConstructorError


class UniqueKeyLoader(yaml.SafeLoader):
    """Reads plain values as `yaml.safe_load` does; a key that occurs twice in one mapping is an error with both lines."""

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

"""Builds the architecture's graph from a synthesized stack.

Nodes are the resources that drawing.yml lists. Edges come from references, permissions and
event routes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ops.diagram.drawing import SELF, Drawing, NodeKind, View, load_drawing
from ops.permissions.actions import access_level, expand_action
from ops.terraform.plan_values import values_at
from ops.terraform.policies import is_policy, statements
from ops.terraform.stack_document import Resource, Synthesized, references

REFERS = "refers to"
"""The label of an edge if an argument of one resource refers to the other resource."""
READ_LEVELS = frozenset({"Read", "List"})
_NAME_OF_ARN = re.compile(r"^arn:aws:([\w-]+):[^:]*:[^:]*:(.+)$")
ARN_TYPES = {
    "dynamodb": "aws_dynamodb_table",
    "s3": "aws_s3_bucket",
    "sqs": "aws_sqs_queue",
    "sns": "aws_sns_topic",
    "events": "aws_cloudwatch_event_bus",
    "ssm": "aws_ssm_parameter",
    "lambda": "aws_lambda_function",
    "secretsmanager": "aws_secretsmanager_secret",
    "elasticache": "aws_elasticache_replication_group",
}
"""Resource types by the service name in an ARN. Used to find the resource of a literal ARN."""
NAMES = ("name", "bucket", "function_name", "replication_group_id")


@dataclass(frozen=True)
class Node:
    """One box in a diagram. It represents one or more resources."""

    id: str
    """The node's identifier, derived from the construct path, so that it is stable."""
    type: str
    kind: str
    label: str
    group: str
    service: str
    shape: str
    members: tuple[str, ...]
    """The addresses of the resources that the node represents."""
    paths: tuple[str, ...] = ()
    """The construct paths of the members."""
    names: tuple[str, ...] = ()
    """The labels of the nodes that were combined into this node, in a folded view."""


@dataclass(frozen=True)
class Edge:
    """A connection between two nodes."""

    source: str
    target: str
    labels: tuple[str, ...]

    @property
    def text(self) -> str:
        """The label of the edge. Omits `refers to` if the edge has other labels."""
        words = [word for word in self.labels if word != REFERS] or list(self.labels)
        return "reads and writes" if set(words) == {"reads", "writes"} else ", ".join(words)


@dataclass(frozen=True)
class Graph:
    """Nodes and edges, in a stable order."""

    environment: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    """Titles by group, in display order. Groups without nodes are omitted."""

    @cached_property
    def by_id(self) -> Mapping[str, Node]:
        """The nodes by id."""
        return {node.id: node for node in self.nodes}

    @cached_property
    def by_member(self) -> Mapping[str, Node]:
        """The node of each drawn resource, by the resource's address."""
        return {address: node for node in self.nodes for address in node.members}


class _Reader:
    """Finds the nodes and the edges of a stack."""

    def __init__(self, stack: Synthesized, drawing: Drawing) -> None:
        self._resources = stack.resources
        self._environment = stack.environment
        self._drawing = drawing
        self._by_name = {
            (item.type, value): item.address
            for item in stack.resources.values()
            for name in NAMES
            if isinstance(value := item.block.get(name), str)
        }
        self._functions_of_role: dict[str, list[str]] = {}
        for item in stack.resources.values():
            if item.type == "aws_lambda_function":
                for role in _addresses(item.block.get("role")):
                    self._functions_of_role.setdefault(role, []).append(item.address)

    def kind(self, item: Resource) -> NodeKind | None:
        """Returns how the diagram draws a resource, or None if the diagram omits the resource."""
        kind = self._drawing.nodes.get(item.type)
        return None if kind is None or (kind.where and kind.where not in item.block) else kind

    def nodes(self) -> Iterator[Node]:
        """Yields the nodes. A node represents one resource, or several that drawing.yml
        combines.
        """
        gathered: dict[str, list[Resource]] = {}
        for item in sorted(
            self._resources.values(), key=lambda item: (item.construct.path, item.address)
        ):
            kind = self.kind(item)
            if kind:
                label = self._label(item, kind)
                merged = f"{item.type}/{label}" if kind.merged else item.address
                gathered.setdefault(item.type if kind.folded else merged, []).append(item)
        for items in gathered.values():
            yield self._node(items)

    def _node(self, items: list[Resource]) -> Node:
        first = items[0]
        path = first.construct.path
        kind = self._drawing.nodes[first.type]
        label = str(kind.plural) if kind.folded else self._label(first, kind)
        groups = [group for start, group in kind.group_at.items() if path.startswith(start)]
        return Node(
            id=_identifier(first.type.removeprefix("aws_") if kind.folded else path),
            type=first.type,
            kind=kind.kind,
            label=label,
            group=groups[0] if groups else kind.group,
            service=first.construct.service,
            shape=kind.shape,
            members=tuple(item.address for item in items),
            paths=tuple(item.construct.path for item in items),
        )

    def _label(self, item: Resource, kind: NodeKind) -> str:
        text = str(item.block.get(kind.label or "", "")) or item.construct.path
        if kind.merged:
            return text
        parts = re.sub(rf"[-/ ]{re.escape(self._environment)}(?=$|[-/ ])", "", text).strip("/")
        return re.sub(r"-(lambda|bucket|table|topic|queue|bus)$", "", parts).removeprefix(
            "multitask/"
        )

    def edges(self) -> Iterator[tuple[str, str, str]]:
        """Yields the source address, target address and label of each connection."""
        for item in self._resources.values():
            yield from self._declared_edges(item)
            if item.type == "aws_iam_role_policy":
                yield from self._granted_edges(item)
            kind = self.kind(item)
            if kind and not kind.folded:
                yield from self._referred_edges(item)

    def _declared_edges(self, item: Resource) -> Iterator[tuple[str, str, str]]:
        for edge in self._drawing.edges:
            if edge.type == item.type:
                for source in self._ends(item, edge.source):
                    for target in self._ends(item, edge.to):
                        yield source, target, edge.label

    def _ends(self, item: Resource, attribute: str) -> list[str]:
        if attribute == SELF:
            return [item.address]
        values = (
            [item.block.get(attribute)]
            if attribute in item.block
            else values_at(item.block, attribute)
        )
        return self._targets(values)

    def _targets(self, value: Any) -> list[str]:
        """Returns the addresses of the drawn resources that a value refers to."""
        ends = [self._drawn(address) for address in _addresses(value)]
        return list(dict.fromkeys(end for end in ends if end))

    def _drawn(self, address: str, depth: int = 0) -> str | None:
        """Returns the address of the drawn resource that represents the resource at `address`.

        Returns None if no drawn resource represents it.
        """
        item = self._resources.get(address)
        if item is None or depth > 5:
            return None
        if self.kind(item):
            return address
        through = self._drawing.through.get(item.type)
        if through is None:
            return None
        holders = [item]
        if through.by and through.at:
            holders = [
                other
                for other in self._resources.values()
                if other.type == through.by and address in _addresses(other.block.get(through.at))
            ]
        ends = [
            self._drawn(other, depth + 1)
            for holder in holders
            for other in _addresses(holder.block.get(through.to))
        ]
        return next((end for end in ends if end), None)

    def _granted_edges(self, item: Resource) -> Iterator[tuple[str, str, str]]:
        functions = [
            name
            for role in _addresses(item.block.get("role"))
            for name in self._functions_of_role.get(role, [])
        ]
        policy = item.block.get("policy")
        for statement in statements(policy) if is_policy(policy) else []:
            if not statement.allows:
                continue
            for resource in () if statement.excludes_resources else statement.resources:
                for target in self._targets(resource) or self._named_by_arn(resource):
                    words = self._words(target, statement.patterns)
                    yield from (
                        (function, target, word)
                        for function in functions
                        for word in words
                        if function != target
                    )

    def _words(self, target: str, patterns: Iterable[str]) -> list[str]:
        named = self._drawing.grants.get(self._resources[target].type)
        if isinstance(named, str):
            return [named]
        actions = {action for pattern in patterns for action in expand_action(pattern)}
        if named:
            return list(dict.fromkeys(word for action, word in named.items() if action in actions))
        levels = {access_level(action) for action in actions}
        return [
            word
            for word, holds in (("reads", levels & READ_LEVELS), ("writes", levels - READ_LEVELS))
            if holds
        ]

    def _named_by_arn(self, arn: str) -> list[str]:
        """Returns a list with the address of the resource that an ARN identifies, or []."""
        match = _NAME_OF_ARN.match(arn)
        if not match or match[1] not in ARN_TYPES:
            return []
        rest = match[2]
        tail = rest.partition("/")[2] if "/" in rest else rest.rpartition(":")[2]
        for name in (tail, f"/{tail}", tail.partition("/")[0], rest.partition("/")[0]):
            address = self._by_name.get((ARN_TYPES[match[1]], name))
            if address:
                return [address]
        return []

    def _referred_edges(self, item: Resource) -> Iterator[tuple[str, str, str]]:
        declared = {
            (edge.to if edge.source == SELF else edge.source).partition(".")[0]
            for edge in self._drawing.edges
            if edge.type == item.type and SELF in {edge.source, edge.to}
        }
        for name, value in item.block.items():
            if name not in self._drawing.ignored_arguments and name not in declared:
                yield from (
                    (item.address, target, REFERS)
                    for target in self._targets(value)
                    if target != item.address
                )


def _addresses(value: Any) -> list[str]:
    return list(dict.fromkeys(f"{type_}.{label}" for type_, label, _ in references(value)))


def _identifier(text: str) -> str:
    """Returns a node id made from a text. Omits a part that repeats the preceding part."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", text) if part]
    return "_".join(
        part for part, before in zip(parts, ["", *parts], strict=False) if part != before
    )


def read_graph(stack: Synthesized) -> Graph:
    """Returns the graph of all drawn resources of a stack."""
    drawing = load_drawing()
    reader = _Reader(stack, drawing)
    nodes = tuple(_with_unique_ids(reader.nodes()))
    by_member = {address: node.id for node in nodes for address in node.members}
    labels: dict[tuple[str, str], dict[str, None]] = {}
    for source, target, label in reader.edges():
        ends = (by_member[source], by_member[target])
        if ends[0] != ends[1]:
            labels.setdefault(ends, {})[label] = None
    return _ordered(stack.environment, nodes, labels)


def _with_unique_ids(nodes: Iterable[Node]) -> Iterator[Node]:
    taken: set[str] = set()
    for node in nodes:
        id_ = node.id if node.id not in taken else _identifier(f"{node.id}-{node.type}")
        taken.add(id_)
        yield replace(node, id=id_)


def _ordered(
    environment: str, nodes: Iterable[Node], labels: Mapping[tuple[str, str], Iterable[str]]
) -> Graph:
    groups = load_drawing().groups
    order = list(groups)
    placed = tuple(
        sorted(nodes, key=lambda node: (order.index(node.group), node.kind, node.label, node.id))
    )
    edges = tuple(
        Edge(source, target, tuple(sorted(words)))
        for (source, target), words in sorted(labels.items())
    )
    used = {node.group for node in placed}
    return Graph(
        environment,
        placed,
        edges,
        {name: group.title for name, group in groups.items() if name in used},
    )


def view_of(graph: Graph, name: str) -> Graph:
    """Returns the part of the graph that a view of drawing.yml shows.

    Raises:
        KeyError: drawing.yml does not define the view.
    """
    view = load_drawing().views[name]
    graph = _folded(graph) if view.folded else graph
    chosen = {
        node.id: node for node in graph.nodes if view.types is None or node.type in view.types
    }
    edges = [
        edge
        for edge in graph.edges
        if edge.source in chosen and edge.target in chosen and _is_drawn(edge, view, chosen)
    ]
    if view.connected:
        connected = {end for edge in edges for end in (edge.source, edge.target)}
        chosen = {id_: node for id_, node in chosen.items() if id_ in connected}
    labels = {
        (edge.source, edge.target): [
            word for word in edge.labels if view.labels is None or word in view.labels
        ]
        for edge in edges
    }
    return _ordered(graph.environment, chosen.values(), labels)


def _is_drawn(edge: Edge, view: View, nodes: Mapping[str, Node]) -> bool:
    if any(nodes[end].type in view.quiet for end in (edge.source, edge.target)):
        return False
    return view.labels is None or any(word in view.labels for word in edge.labels)


def _folded(graph: Graph) -> Graph:
    """Returns the graph with nodes of the same type, service and group combined into one node.

    Combines only types that have a `plural` in drawing.yml.
    """
    kinds = load_drawing().nodes
    gathered: dict[str, list[Node]] = {}
    for node in graph.nodes:
        plural = kinds[node.type].plural
        is_folded = plural and not kinds[node.type].folded
        key = f"{node.type}/{node.service}/{node.group}" if is_folded else node.id
        gathered.setdefault(key, []).append(node)
    nodes, new_ids = [], {}
    for items in gathered.values():
        first = items[0]
        folded = first
        if len(items) > 1:
            shorten = not kinds[first.type].merged
            names = tuple(
                item.label.removeprefix(f"{first.service}-") if shorten else item.label
                for item in items
            )
            folded = replace(
                first,
                id=_identifier(f"{first.type.removeprefix('aws_')}-{first.service}"),
                label=f"{first.service} {kinds[first.type].plural}",
                members=tuple(address for item in items for address in item.members),
                paths=tuple(path for item in items for path in item.paths),
                names=names,
            )
        nodes.append(folded)
        new_ids.update({item.id: folded.id for item in items})
    labels: dict[tuple[str, str], dict[str, None]] = {}
    for edge in graph.edges:
        ends = (new_ids[edge.source], new_ids[edge.target])
        if ends[0] != ends[1]:
            labels.setdefault(ends, {}).update(dict.fromkeys(edge.labels))
    return _ordered(graph.environment, nodes, labels)

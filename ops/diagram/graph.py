"""The architecture as a graph: nodes for meaningful resources, edges from references, permissions and event routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from ops.diagram.drawing import SELF, Drawing, NodeKind, View, load_drawing
from ops.terraform.plan_values import values_at
from ops.terraform.policies import access_level, expanded, is_policy, statements
from ops.terraform.stack_document import Resource, Synthesized, references

REFERS = "refers to"
"""An edge that only a reference tells of."""
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
"""What an ARN that is written out, and not referred to, is of."""
NAMES = ("name", "bucket", "function_name", "replication_group_id")


@dataclass(frozen=True)
class Node:
    """Something that is drawn."""

    id: str
    """Stable: from its place in the program."""
    type: str
    kind: str
    label: str
    group: str
    service: str
    shape: str
    members: tuple[str, ...]
    """The addresses it stands for."""
    paths: tuple[str, ...] = ()
    """Their places in the program."""
    names: tuple[str, ...] = ()
    """What a folded node's members are called."""


@dataclass(frozen=True)
class Edge:
    """How one node works with another."""

    source: str
    target: str
    says: tuple[str, ...]

    @property
    def text(self) -> str:
        """What it says, in words; a reference says nothing that the other words do not."""
        words = [word for word in self.says if word != REFERS] or list(self.says)
        return "reads and writes" if set(words) == {"reads", "writes"} else ", ".join(words)


@dataclass(frozen=True)
class Graph:
    """Nodes and edges, in a stable order."""

    environment: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    """Titles, in order; those that have nodes."""

    @cached_property
    def by_member(self) -> Mapping[str, Node]:
        """The node of each resource that is drawn, by address."""
        return {address: node for node in self.nodes for address in node.members}


class _Reader:
    """Finds the nodes of a stack and what connects them."""

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
        """How a resource is drawn; None for one that is not."""
        kind = self._drawing.nodes.get(item.type)
        return None if kind is None or (kind.where and kind.where not in item.block) else kind

    def nodes(self) -> Iterator[Node]:
        """A node for each resource that is drawn; folded and merged ones once each."""
        gathered: dict[str, list[Resource]] = {}
        for item in sorted(
            self._resources.values(), key=lambda item: (item.construct.path, item.address)
        ):
            kind = self.kind(item)
            if kind:
                label = self._label(item, kind)
                key = (
                    item.type
                    if kind.folded
                    else f"{item.type}/{label}"
                    if kind.merged
                    else item.address
                )
                gathered.setdefault(key, []).append(item)
        for items in gathered.values():
            yield self._node(items)

    def _node(self, items: list[Resource]) -> Node:
        first = items[0]
        kind = self._drawing.nodes[first.type]
        label = str(kind.plural) if kind.folded else self._label(first, kind)
        return Node(
            id=_identifier(
                first.type.removeprefix("aws_") if kind.folded else first.construct.path
            ),
            type=first.type,
            kind=kind.kind,
            label=label,
            group=next(
                (
                    group
                    for path, group in kind.group_at.items()
                    if first.construct.path.startswith(path)
                ),
                kind.group,
            ),
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
        """Source, target and words of every connection, by address."""
        for item in self._resources.values():
            yield from self._declared(item)
            if item.type == "aws_iam_role_policy":
                yield from self._granted(item)
            kind = self.kind(item)
            if kind and not kind.folded:
                yield from self._referred(item)

    def _declared(self, item: Resource) -> Iterator[tuple[str, str, str]]:
        for edge in self._drawing.edges:
            if edge.type == item.type:
                for source in self._ends(item, edge.source):
                    for target in self._ends(item, edge.to):
                        yield source, target, edge.says

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
        """The drawn resources that a value leads to."""
        ends = [self._drawn(address) for address in _addresses(value)]
        return list(dict.fromkeys(end for end in ends if end))

    def _drawn(self, address: str, depth: int = 0) -> str | None:
        """The drawn resource that another one stands for."""
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

    def _granted(self, item: Resource) -> Iterator[tuple[str, str, str]]:
        functions = [
            name
            for role in _addresses(item.block.get("role"))
            for name in self._functions_of_role.get(role, [])
        ]
        policy = item.block.get("policy")
        for statement in statements(policy) if is_policy(policy) else []:
            if not statement.allows:
                continue
            for resource in statement.resources:
                for target in self._targets(resource) or self._written_out(resource):
                    words = self._words(target, statement.patterns)
                    yield from (
                        (function, target, word)
                        for function in functions
                        for word in words
                        if function != target
                    )

    def _words(self, target: str, patterns: Iterable[str]) -> list[str]:
        named = self._drawing.grants.get(self._resources[target].type)
        if named:
            return [named]
        levels = {access_level(action) for pattern in patterns for action in expanded(pattern)}
        return [
            word
            for word, holds in (("reads", levels & READ_LEVELS), ("writes", levels - READ_LEVELS))
            if holds
        ]

    def _written_out(self, arn: str) -> list[str]:
        """The resource of an ARN that is computed from a name."""
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

    def _referred(self, item: Resource) -> Iterator[tuple[str, str, str]]:
        spoken_for = {
            edge.to.partition(".")[0]
            for edge in self._drawing.edges
            if edge.type == item.type and edge.source == SELF
        } | {
            edge.source.partition(".")[0]
            for edge in self._drawing.edges
            if edge.type == item.type and edge.to == SELF
        }
        for name, value in item.block.items():
            if name not in self._drawing.silent and name not in spoken_for:
                yield from (
                    (item.address, target, REFERS)
                    for target in self._targets(value)
                    if target != item.address
                )


def _addresses(value: Any) -> list[str]:
    return list(dict.fromkeys(f"{type_}.{label}" for type_, label, _ in references(value)))


def _identifier(text: str) -> str:
    """A name for pictures: a construct's resource often has the construct's own name again, which is left out."""
    parts = [part for part in re.split(r"[^A-Za-z0-9]+", text) if part]
    return "_".join(
        part for part, before in zip(parts, ["", *parts], strict=False) if part != before
    )


def read_graph(stack: Synthesized) -> Graph:
    """The graph of everything that is drawn of a stack."""
    drawing = load_drawing()
    reader = _Reader(stack, drawing)
    nodes = tuple(_with_own_ids(reader.nodes()))
    by_member = {address: node.id for node in nodes for address in node.members}
    said: dict[tuple[str, str], dict[str, None]] = {}
    for source, target, says in reader.edges():
        ends = (by_member[source], by_member[target])
        if ends[0] != ends[1]:
            said.setdefault(ends, {})[says] = None
    return _ordered(stack.environment, nodes, said)


def _with_own_ids(nodes: Iterable[Node]) -> Iterator[Node]:
    taken: set[str] = set()
    for node in nodes:
        id_ = node.id if node.id not in taken else _identifier(f"{node.id}-{node.type}")
        taken.add(id_)
        yield replace(node, id=id_)


def _ordered(
    environment: str, nodes: Iterable[Node], said: Mapping[tuple[str, str], Iterable[str]]
) -> Graph:
    titles = load_drawing().groups
    order = list(titles)
    placed = tuple(
        sorted(nodes, key=lambda node: (order.index(node.group), node.kind, node.label, node.id))
    )
    edges = tuple(
        Edge(source, target, tuple(sorted(words)))
        for (source, target), words in sorted(said.items())
    )
    used = {node.group for node in placed}
    return Graph(
        environment, placed, edges, {name: title for name, title in titles.items() if name in used}
    )


def view_of(graph: Graph, name: str) -> Graph:
    """One of the pictures that drawing.yml names.

    Raises:
        KeyError: there is no such picture.
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
    said = {
        (edge.source, edge.target): [
            word for word in edge.says if view.says is None or word in view.says
        ]
        for edge in edges
    }
    return _ordered(graph.environment, chosen.values(), said)


def _is_drawn(edge: Edge, view: View, nodes: Mapping[str, Node]) -> bool:
    if any(nodes[end].type in view.quiet for end in (edge.source, edge.target)):
        return False
    return view.says is None or any(word in view.says for word in edge.says)


def _folded(graph: Graph) -> Graph:
    """The same with one node for all things of a type and service, where the type has a word for several."""
    kinds = load_drawing().nodes
    gathered: dict[str, list[Node]] = {}
    for node in graph.nodes:
        plural = kinds[node.type].plural
        key = (
            f"{node.type}/{node.service}/{node.group}"
            if plural and not kinds[node.type].folded
            else node.id
        )
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
    said: dict[tuple[str, str], dict[str, None]] = {}
    for edge in graph.edges:
        ends = (new_ids[edge.source], new_ids[edge.target])
        if ends[0] != ends[1]:
            said.setdefault(ends, {}).update(dict.fromkeys(edge.says))
    return _ordered(graph.environment, nodes, said)

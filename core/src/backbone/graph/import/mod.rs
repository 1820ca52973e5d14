//! ONNX, or TFLite (`tflite`), to the float graph, for quantisation.
//!
//! Only what the taps depend on is looked at: a classifier behind the last tap may hold any
//! operator. Constants are folded on the way; every refusal names the node and what would do.

mod operators;
mod tensor;
mod tflite;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use tract_onnx::pb::{AttributeProto, GraphProto, NodeProto, ValueInfoProto};
use tract_onnx::pb::{tensor_shape_proto::dimension, type_proto};
use tract_onnx::prelude::Framework;

use super::{Graph, Node, Normalisation, Operator, Quantisation, Value, ValueId};
use crate::backbone::BackboneError;
use tensor::Tensor;

/// What a name of the ONNX graph stands for.
#[derive(Clone, Debug)]
enum Entry {
    Value(ValueId),
    Constant(Rc<Tensor>),
    /// A value between its QuantizeLinear and its DequantizeLinear.
    Quantised(ValueId, Quantisation),
    /// Arithmetic on shapes, which only ever leads to flattening.
    Shape,
}

/// No network that makes sense is larger; the passes compare every node with every other.
const MOST_NODES: usize = 8192;

struct Importer<'a> {
    entries: HashMap<&'a str, Entry>,
    graph: Graph,
    /// Whether a value is known to have one location only.
    point: Vec<bool>,
    opset: i64,
}

/// Reads the part of an ONNX or TFLite model that the taps depend on.
pub(in crate::backbone) fn import(
    onnx: &[u8],
    normalisation: Normalisation,
    taps: &[String],
) -> Result<Graph, BackboneError> {
    if tflite::is_tflite(onnx) {
        return tflite::import(onnx, normalisation, taps);
    }
    let unreadable = |reason: String| BackboneError::Unreadable { reason };
    let model = tract_onnx::onnx()
        .proto_model_for_read(&mut std::io::Cursor::new(onnx))
        .map_err(|error| unreadable(format!("{error:#}")))?;
    let proto = model
        .graph
        .as_ref()
        .ok_or_else(|| unreadable("the file has no graph".to_owned()))?;
    let versions = model.opset_import.iter();
    let opset = versions
        .filter(|set| set.domain.is_empty() || set.domain == "ai.onnx")
        .map(|set| set.version)
        .max()
        .unwrap_or(1);
    let needed = needed(proto, taps)?;
    if needed.nodes.len() > MOST_NODES {
        return Err(unreadable(format!(
            "at most {MOST_NODES} nodes before the taps expected, found {}",
            needed.nodes.len()
        )));
    }
    let mut importer = Importer {
        entries: HashMap::new(),
        graph: Graph {
            values: Vec::new(),
            nodes: Vec::new(),
            taps: Vec::new(),
            normalisation,
        },
        point: Vec::new(),
        opset,
    };
    importer.constants(proto, &needed)?;
    importer.input(proto)?;
    for (_, node) in proto
        .node
        .iter()
        .enumerate()
        .filter(|(at, _)| needed.nodes.contains(at))
    {
        importer
            .node(node)
            .map_err(|reason| BackboneError::Unsupported {
                node: shortened(name(node)),
                operator: shortened(&node.op_type),
                reason,
            })?;
    }
    for tap in taps {
        match importer.entries.get(tap.as_str()) {
            Some(&Entry::Value(value)) if value != 0 => {
                importer.graph.taps.push((tap.clone(), value));
            }
            _ => {
                return Err(BackboneError::NotAMap {
                    tap: tap.clone(),
                    found: "a constant or the input itself".to_owned(),
                });
            }
        }
    }
    Ok(importer.graph)
}

/// Names of nodes and initialisers that the taps depend on.
struct Needed<'a> {
    nodes: HashSet<usize>,
    names: HashSet<&'a str>,
}

fn needed<'a>(proto: &'a GraphProto, taps: &'a [String]) -> Result<Needed<'a>, BackboneError> {
    let mut producers = HashMap::new();
    for (at, node) in proto.node.iter().enumerate() {
        for output in node.output.iter().filter(|output| !output.is_empty()) {
            if producers.insert(output.as_str(), at).is_some() {
                return Err(BackboneError::Unreadable {
                    reason: format!("two nodes give the value {:?}", shortened(output)),
                });
            }
        }
    }
    let mut needed = Needed {
        nodes: HashSet::new(),
        names: HashSet::new(),
    };
    let mut open: Vec<&str> = Vec::new();
    for tap in taps {
        if !producers.contains_key(tap.as_str()) {
            let outputs = proto.output.iter().map(|output| shortened(&output.name));
            return Err(BackboneError::MissingTap {
                tap: tap.clone(),
                outputs: outputs.collect(),
            });
        }
        open.push(tap);
    }
    // Each name is opened once, so that cycles end too.
    while let Some(name) = open.pop() {
        if !needed.names.insert(name) {
            continue;
        }
        if let Some(&at) = producers.get(name)
            && needed.nodes.insert(at)
        {
            let inputs = proto.node[at].input.iter();
            open.extend(inputs.map(String::as_str).filter(|input| !input.is_empty()));
        }
    }
    Ok(needed)
}

impl<'a> Importer<'a> {
    fn constants(
        &mut self,
        proto: &'a GraphProto,
        needed: &Needed<'_>,
    ) -> Result<(), BackboneError> {
        let used = |name: &str| needed.names.contains(name);
        for initialiser in proto.initializer.iter().filter(|i| used(&i.name)) {
            let tensor =
                Tensor::read(initialiser).map_err(|reason| BackboneError::Unsupported {
                    node: shortened(&initialiser.name),
                    operator: "initializer".to_owned(),
                    reason,
                })?;
            self.entries
                .insert(&initialiser.name, Entry::Constant(Rc::new(tensor)));
        }
        Ok(())
    }

    fn input(&mut self, proto: &'a GraphProto) -> Result<(), BackboneError> {
        let constants: HashSet<&str> = proto.initializer.iter().map(|i| i.name.as_str()).collect();
        let inputs: Vec<&ValueInfoProto> = proto
            .input
            .iter()
            .filter(|input| !constants.contains(input.name.as_str()))
            .collect();
        let [input] = inputs[..] else {
            return Err(BackboneError::Unreadable {
                reason: format!("one input expected, found {}", inputs.len()),
            });
        };
        check_input(input).map_err(|reason| BackboneError::Unsupported {
            node: shortened(&input.name),
            operator: "input".to_owned(),
            reason,
        })?;
        let value = self.value(&input.name, 3, false);
        self.entries.insert(&input.name, Entry::Value(value));
        Ok(())
    }

    fn value(&mut self, name: &str, channels: usize, point: bool) -> ValueId {
        self.graph.values.push(Value {
            name: name.to_owned(),
            channels,
        });
        self.point.push(point);
        self.graph.values.len() - 1
    }

    /// Appends a node that gives the first output of `proto`.
    fn push(
        &mut self,
        proto: &'a NodeProto,
        operator: Operator,
        inputs: Vec<ValueId>,
        channels: usize,
        point: bool,
    ) -> Result<ValueId, String> {
        let target = proto.output.first().ok_or("a node without an output")?;
        let output = self.value(target, channels, point);
        self.graph.nodes.push(Node {
            name: name(proto).to_owned(),
            operator,
            inputs,
            output,
            quantisation: None,
        });
        self.entries.insert(target, Entry::Value(output));
        Ok(output)
    }

    /// Gives the first output of `proto` the meaning of something that is there already.
    fn alias(&mut self, proto: &'a NodeProto, entry: Entry) -> Result<(), String> {
        let target = proto.output.first().ok_or("a node without an output")?;
        self.entries.insert(target, entry);
        Ok(())
    }

    fn entry(&self, proto: &NodeProto, at: usize) -> Result<&Entry, String> {
        let name = match proto.input.get(at) {
            Some(name) if !name.is_empty() => name.as_str(),
            _ => return Err(format!("input {at} is missing")),
        };
        self.entries.get(name).ok_or_else(|| {
            format!(
                "reads {:?}, which nothing gives before it: the graph has a cycle, is not sorted, \
                 or the value is missing",
                shortened(name)
            )
        })
    }

    fn operand(&self, proto: &NodeProto, at: usize) -> Result<ValueId, String> {
        match self.entry(proto, at)? {
            Entry::Value(value) => Ok(*value),
            Entry::Constant(_) => Err(format!("input {at} must be a map, found a constant")),
            Entry::Quantised(..) => Err(format!(
                "input {at} is quantised; models in the QDQ format are read, those of integer \
                 operators are not"
            )),
            Entry::Shape => Err(format!("input {at} must be a map, found a shape")),
        }
    }

    /// An input that must be constant; `None` when it is left out.
    fn constant(&self, proto: &NodeProto, at: usize) -> Result<Option<Rc<Tensor>>, String> {
        if proto.input.get(at).is_none_or(String::is_empty) {
            return Ok(None);
        }
        match self.entry(proto, at)? {
            Entry::Constant(tensor) => Ok(Some(tensor.clone())),
            _ => Err(format!(
                "input {at} must be a constant, found a computed value"
            )),
        }
    }

    fn channels(&self, value: ValueId) -> usize {
        self.graph.values[value].channels
    }
}

/// The input must be 1×3×H×W; the batch and the sides may be unknown.
fn check_input(input: &ValueInfoProto) -> Result<(), String> {
    let Some(type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return Ok(());
    };
    let Some(shape) = &tensor.shape else {
        return Ok(());
    };
    let dims: Vec<Option<i64>> = shape
        .dim
        .iter()
        .map(|dim| match &dim.value {
            Some(dimension::Value::DimValue(size)) => Some(*size),
            _ => None,
        })
        .collect();
    let positive = dims
        .iter()
        .all(|dim| dim.is_none_or(|size| size > 0 && size < 1 << 20));
    match dims[..] {
        [None | Some(1), None | Some(3), _, _] if positive => Ok(()),
        _ => {
            let found: Vec<String> = dims
                .iter()
                .take(8)
                .map(|dim| dim.map_or_else(|| "?".to_owned(), |size| size.to_string()))
                .collect();
            Err(format!("1×3×H×W expected, found {}", found.join("×")))
        }
    }
}

/// A node's attributes by name.
struct Attributes<'a>(&'a [AttributeProto]);

impl Attributes<'_> {
    fn find(&self, name: &str) -> Option<&AttributeProto> {
        self.0.iter().find(|attribute| attribute.name == name)
    }

    fn integer(&self, name: &str, otherwise: i64) -> i64 {
        self.find(name).map_or(otherwise, |attribute| attribute.i)
    }

    fn float(&self, name: &str, otherwise: f32) -> f32 {
        self.find(name).map_or(otherwise, |attribute| attribute.f)
    }

    fn text(&self, name: &str) -> &str {
        let bytes = self.find(name).map_or(&b""[..], |attribute| &attribute.s);
        std::str::from_utf8(bytes).unwrap_or("?")
    }

    fn integers(&self, name: &str) -> Option<&[i64]> {
        self.find(name).map(|attribute| &attribute.ints[..])
    }
}

fn name(node: &NodeProto) -> &str {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    }
}

/// Names come from files: they are cut before they go into a message.
fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}

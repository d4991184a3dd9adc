//! `--set` and `--sweep`: other values for a scenario's fields, by their paths.

use serde_json::Value;

/// Values of one sweep, and runs of all together.
const RUNS_MAX: usize = 64;

/// `PATH=VALUE`: the value is JSON, or else a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Assignment {
    pub path: String,
    pub value: Value,
}

/// `PATH=VALUE,VALUE,…`
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sweep {
    path: String,
    values: Vec<Value>,
}

impl Assignment {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (path, value) = split(text)?;
        Ok(Self {
            path,
            value: value_of(&value),
        })
    }

    /// Puts the value in its place. The last field may be new; what it stands in may not.
    pub fn apply(&self, tree: &mut Value) -> Result<(), String> {
        let path = self.path.replace('[', ".").replace(']', "");
        let mut parts: Vec<&str> = path.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        let mut place = tree;
        for part in parts {
            place = inside(place, part)
                .ok_or_else(|| format!("`{}`: nothing stands at `{part}`", self.path))?;
        }
        if let Value::Object(fields) = place {
            fields.insert(last.to_owned(), self.value.clone());
            return Ok(());
        }
        let item = inside(place, last);
        let item = item.ok_or_else(|| format!("`{}`: nothing stands at `{last}`", self.path))?;
        *item = self.value.clone();
        Ok(())
    }
}

fn inside<'a>(place: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    match place {
        Value::Object(fields) => fields.get_mut(part),
        Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    }
}

impl Sweep {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (path, values) = split(text)?;
        Ok(Self {
            path,
            values: values.split(',').map(value_of).collect(),
        })
    }
}

/// Every combination of the sweeps' values, the last sweep turning fastest.
pub(super) fn combinations(sweeps: &[Sweep]) -> Result<Vec<Vec<Assignment>>, String> {
    let mut runs: Vec<Vec<Assignment>> = vec![Vec::new()];
    for sweep in sweeps {
        let with = |run: &Vec<Assignment>| {
            let values = sweep.values.iter().map(|value| Assignment {
                path: sweep.path.clone(),
                value: value.clone(),
            });
            let runs: Vec<_> = values
                .map(|assignment| run.iter().cloned().chain([assignment]).collect())
                .collect();
            runs
        };
        runs = runs.iter().flat_map(with).collect();
        if runs.len() > RUNS_MAX {
            return Err(format!(
                "expected at most {RUNS_MAX} runs, got {} or more: sweep fewer values",
                runs.len()
            ));
        }
    }
    Ok(runs)
}

fn split(text: &str) -> Result<(String, String), String> {
    let (path, value) = text
        .split_once('=')
        .filter(|(path, _)| !path.is_empty())
        .ok_or("expected `path=value`, as `regions.EU.pops=30` or `faults[0].share=0.5`")?;
    Ok((path.to_owned(), value.to_owned()))
}

fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

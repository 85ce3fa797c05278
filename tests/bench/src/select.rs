//! Which rows are measured.

/// Rows by name; a name that ends with `*` stands for all that begin so.
#[derive(Clone, Debug)]
pub(crate) struct Selection(Vec<String>);

impl Selection {
    /// `all`, `core` (what the table of goals holds, without memory and streams), or names with commas between them.
    pub(crate) fn new(text: &str, core: &[&str], all: &[&str]) -> Result<Self, String> {
        let names: Vec<String> = match text {
            "all" => vec!["*".to_owned()],
            "core" => core.iter().map(|name| (*name).to_owned()).collect(),
            names => names
                .split(',')
                .map(|name| name.trim().to_owned())
                .collect(),
        };
        let selection = Self(names);
        match selection
            .0
            .iter()
            .find(|name| !all.iter().any(|row| stands_for(name, row)))
        {
            Some(unknown) => Err(format!("there is no row {unknown:?}; --list names them")),
            None => Ok(selection),
        }
    }

    pub(crate) fn has(&self, row: &str) -> bool {
        self.0.iter().any(|name| stands_for(name, row))
    }
}

fn stands_for(name: &str, row: &str) -> bool {
    match name.strip_suffix('*') {
        Some(beginning) => row.starts_with(beginning),
        None => row == name,
    }
}

//! Imports of a crate: which file takes something from which other.
//!
//! A name counts to the file that defines it, however many modules hand it on. Naming a module alone is no import, and
//! handing a name on isn't either.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::modules::{Extent, Id, Modules};

/// Files, with those that they take something from, and what.
pub type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Reads the imports of a library or a program from its first file. Files are named as seen from a folder.
pub fn read(root: &Path, seen_from: &Path) -> Result<Imports> {
    let modules = Modules::read(root, Extent::Shipped)?;
    let name = |id: Id| -> Result<String> {
        let file = modules.0[id].file.strip_prefix(seen_from)?;
        Ok(file.to_str().context("a file has a name of letters")?.to_owned())
    };
    let names = (0..modules.0.len()).map(name).collect::<Result<Vec<String>>>()?;
    let mut imports = Imports::new();
    for (id, module) in modules.0.iter().enumerate() {
        let taken = imports.entry(names[id].clone()).or_default();
        let mut take = |path: &[String]| {
            if let Some((definer, name)) = modules.definer(id, path)
                && names[definer] != names[id]
            {
                taken.entry(names[definer].clone()).or_default().insert(name);
            }
        };
        module.uses.iter().filter(|import| !import.handed_on).for_each(|import| take(&import.path));
        for tokens in &module.tokens {
            for path in paths(tokens.clone()) {
                take(&path);
            }
        }
    }
    Ok(imports)
}

/// Target of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Module(Id),
    /// Something that this module defines.
    Item(Id),
}

/// Paths that hand each other on in a ring would never end.
const FAR: usize = 32;

impl Modules {
    /// Finds the module that defines what a path names, as read in another, and the name there.
    fn definer(&self, at: Id, path: &[String]) -> Option<(Id, String)> {
        match self.follow(at, path, FAR)? {
            (Target::Item(module), name) => Some((module, name)),
            (Target::Module(_), _) => None,
        }
    }

    fn follow(&self, at: Id, path: &[String], far: usize) -> Option<(Target, String)> {
        let far = far.checked_sub(1)?;
        let mut here = at;
        for (step, word) in path.iter().enumerate() {
            match word.as_str() {
                "crate" | "$crate" => here = 0,
                "self" => {}
                "super" => here = self.0[here].parent?,
                name => match self.find(here, name, step == 0, far)? {
                    Target::Module(next) => here = next,
                    item @ Target::Item(_) => return Some((item, name.to_owned())),
                },
            }
        }
        Some((Target::Module(here), String::new()))
    }

    /// Finds a name in a module. A path may begin with a macro of the modules around.
    fn find(&self, at: Id, name: &str, first: bool, far: usize) -> Option<Target> {
        let module = &self.0[at];
        if module.items.contains(name) {
            return Some(Target::Item(at));
        }
        if let Some(child) = module.children.get(name) {
            return Some(Target::Module(*child));
        }
        for import in &module.uses {
            let found = match &import.name {
                Some(named) if named == name && import.path.as_slice() != [name] => {
                    self.follow(at, &import.path, far).map(|(target, _)| target)
                }
                Some(_) => None,
                None => match self.follow(at, &import.path, far) {
                    Some((Target::Module(from), _)) if from != at => {
                        self.find(from, name, false, far.checked_sub(1)?)
                    }
                    _ => None,
                },
            };
            if found.is_some() {
                return found;
            }
        }
        let macro_name = first.then(|| name.strip_suffix('!')).flatten();
        let mut around = macro_name.map(|_| at);
        while let (Some(name), Some(id)) = (macro_name, around) {
            if let Some(found) = self.find(id, name, false, far.checked_sub(1)?) {
                return Some(found);
            }
            around = self.0[id].parent;
        }
        None
    }
}

/// Returns the paths that tokens say. A single word in lower case counts where it is called: otherwise it is a variable.
fn paths(tokens: TokenStream) -> Vec<Vec<String>> {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < trees.len() {
        match &trees[at] {
            TokenTree::Group(group) => found.extend(paths(group.stream())),
            TokenTree::Literal(literal) => found.extend(quoted(&literal.to_string())),
            TokenTree::Ident(_) if continues(&trees, at) => {}
            TokenTree::Ident(first) => {
                let mut path = vec![first.to_string()];
                while mark(&trees, at + 1, ':') && mark(&trees, at + 2, ':') {
                    let Some(TokenTree::Ident(next)) = trees.get(at + 3) else { break };
                    path.push(next.to_string());
                    at += 3;
                }
                let of_macro = mark(&trees, at + 1, '!') && !mark(&trees, at + 2, '=');
                if of_macro && path.len() == 1 {
                    path[0].push('!');
                }
                let named = path.len() > 1 || path[0].starts_with(char::is_uppercase);
                if named || of_macro || is_call(trees.get(at + 1)) {
                    found.push(path);
                }
            }
            TokenTree::Punct(_) => {}
        }
        at += 1;
    }
    found
}

fn mark(trees: &[TokenTree], at: usize, sign: char) -> bool {
    matches!(trees.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == sign)
}

/// Returns `true` for a word that begins no path: a lifetime, a field or method, or what follows a type's brackets.
fn continues(trees: &[TokenTree], at: usize) -> bool {
    let before = |far: usize, sign| at.checked_sub(far).is_some_and(|at| mark(trees, at, sign));
    before(1, '\'') || before(1, ':') && before(2, ':') || before(1, '.') && !before(2, '.')
}

fn is_call(next: Option<&TokenTree>) -> bool {
    matches!(next, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
}

/// A path in quotes, as serde's attributes take them.
fn quoted(literal: &str) -> Option<Vec<String>> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    let path: Vec<String> = text.split("::").map(str::to_owned).collect();
    let word = |word: &String| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    (path.len() > 1 && ["crate", "self", "super"].contains(&path[0].as_str()) && path.iter().all(word))
        .then_some(path)
}

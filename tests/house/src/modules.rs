//! The modules of a crate: where each stands, what it defines and what it brings into scope.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree, Visibility};

/// Place of a module in [`Modules`].
pub type Id = usize;

/// The modules of one library or program; the first is its root.
#[derive(Debug)]
pub struct Modules(pub Vec<Module>, Extent);

/// Extent to which a library or a program is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The code that runs at a user's.
    Shipped,
    /// The same, and the code that is built for tests alone.
    WithTests,
}

/// One module.
#[derive(Debug)]
pub struct Module {
    /// The file that holds it.
    pub file: PathBuf,
    /// The module around it.
    pub parent: Option<Id>,
    /// Modules inside of it, by name.
    pub children: BTreeMap<String, Id>,
    /// Names of functions, types, constants and macros that are defined in it.
    pub items: BTreeSet<String>,
    /// Names that it brings into scope.
    pub uses: Vec<Use>,
    /// Everything else: what its items say.
    pub tokens: Vec<TokenStream>,
}

/// One name that a `use` brings into scope.
#[derive(Debug, Clone)]
pub struct Use {
    /// Segments of the path.
    pub path: Vec<String>,
    /// The name in this module; nothing for `*`.
    pub name: Option<String>,
    /// Handed on to other modules.
    pub handed_on: bool,
}

impl Modules {
    /// Reads a library or a program from its first file.
    pub fn read(root: &Path, extent: Extent) -> Result<Self> {
        let mut modules = Self(Vec::new(), extent);
        let folder = root.parent().context("a file lies in a folder")?;
        modules.file(root, folder, None)?;
        Ok(modules)
    }

    fn file(&mut self, file: &Path, folder: &Path, parent: Option<Id>) -> Result<Id> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let parsed = syn::parse_file(&text).with_context(|| format!("cannot parse {}", file.display()))?;
        self.module(file, folder, parent, parsed.items)
    }

    fn module(&mut self, file: &Path, folder: &Path, parent: Option<Id>, items: Vec<Item>) -> Result<Id> {
        let id = self.0.len();
        self.0.push(Module {
            file: file.to_owned(),
            parent,
            children: BTreeMap::new(),
            items: BTreeSet::new(),
            uses: Vec::new(),
            tokens: Vec::new(),
        });
        for item in items {
            if self.1 == Extent::Shipped && attributes(&item).iter().any(for_tests) {
                continue;
            }
            match item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    let child = self.inner(file, folder, id, inner)?;
                    self.0[id].children.insert(name, child);
                }
                Item::Use(item) => self.0[id].uses.extend(uses(&item)),
                item => {
                    let module = &mut self.0[id];
                    module.items.extend(defined(&item));
                    let tokens = item.into_token_stream();
                    module.uses.extend(inner_uses(tokens.clone()));
                    module.tokens.push(tokens);
                }
            }
        }
        Ok(id)
    }

    /// Reads a module that stands in another, or that is named there and has a file of its own.
    fn inner(&mut self, file: &Path, folder: &Path, parent: Id, inner: ItemMod) -> Result<Id> {
        let name = inner.ident.to_string();
        let below = folder.join(&name);
        if let Some((_, items)) = inner.content {
            return self.module(file, &below, Some(parent), items);
        }
        if let Some(path) = placed(&inner.attrs) {
            let file = file.parent().context("a file lies in a folder")?.join(path);
            return self.file(&file, &below, Some(parent));
        }
        let beside = folder.join(format!("{name}.rs"));
        let file = if beside.exists() { beside } else { below.join("mod.rs") };
        self.file(&file, &below, Some(parent))
    }
}

/// The path that `#[path = "…"]` names.
fn placed(attributes: &[Attribute]) -> Option<String> {
    let named = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    let syn::Meta::NameValue(pair) = &named.meta else { return None };
    let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &pair.value else { return None };
    Some(path.value())
}

/// Returns `true` for `#[test]` and for a `#[cfg(…)]` that asks for tests.
fn for_tests(attribute: &Attribute) -> bool {
    if attribute.path().is_ident("test") {
        return true;
    }
    let syn::Meta::List(list) = &attribute.meta else { return false };
    let says = |word: &str| words(list.tokens.clone()).iter().any(|said| said == word);
    attribute.path().is_ident("cfg") && says("test") && !says("not")
}

fn words(tokens: TokenStream) -> Vec<String> {
    let of_tree = |tree: TokenTree| match tree {
        TokenTree::Group(group) => words(group.stream()),
        TokenTree::Ident(ident) => vec![ident.to_string()],
        _ => Vec::new(),
    };
    tokens.into_iter().flat_map(of_tree).collect()
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

fn uses(item: &ItemUse) -> Vec<Use> {
    let mut found = Vec::new();
    if item.leading_colon.is_none() {
        branch(&item.tree, &mut Vec::new(), !matches!(item.vis, Visibility::Inherited), &mut found);
    }
    found
}

fn branch(tree: &UseTree, path: &mut Vec<String>, handed_on: bool, found: &mut Vec<Use>) {
    let leaf = |path: Vec<String>, name: Option<String>| Use { path, name, handed_on };
    match tree {
        UseTree::Path(step) => {
            path.push(step.ident.to_string());
            branch(&step.tree, path, handed_on, found);
            path.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| branch(tree, path, handed_on, found)),
        UseTree::Glob(_) => found.push(leaf(path.clone(), None)),
        UseTree::Name(name) if name.ident == "self" => found.push(leaf(path.clone(), path.last().cloned())),
        UseTree::Name(name) => {
            let name = name.ident.to_string();
            let whole = path.iter().cloned().chain([name.clone()]).collect();
            found.push(leaf(whole, Some(name)));
        }
        UseTree::Rename(rename) => {
            let name = rename.ident.to_string();
            let last = (name != "self").then_some(name);
            let whole = path.iter().cloned().chain(last).collect();
            found.push(leaf(whole, Some(rename.rename.to_string())));
        }
    }
}

/// Returns what is brought into scope inside of functions.
fn inner_uses(tokens: TokenStream) -> Vec<Use> {
    let mut found = Vec::new();
    let mut trees = tokens.into_iter();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Group(group) => found.extend(inner_uses(group.stream())),
            TokenTree::Ident(word) if word == "use" => {
                let mut said: TokenStream = TokenTree::Ident(word).into();
                for tree in trees.by_ref() {
                    let last = matches!(&tree, TokenTree::Punct(mark) if mark.as_char() == ';');
                    said.extend([tree]);
                    if last {
                        break;
                    }
                }
                // `use<'a>` in a type is no import.
                found.extend(syn::parse2(said).map(|item| uses(&item)).unwrap_or_default());
            }
            _ => {}
        }
    }
    found
}

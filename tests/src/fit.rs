//! A page, judged as its readers meet it: on a phone and on a desk, by day and by night. axe looks for what shuts people out; the rest
//! is what the panel promises of each of its pages.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::process::source_tree;

/// Widths in pixels and looks at which each page is judged, with the rules of axe that are tried there. All of them are tried at each
/// width and in each look, and those about colours everywhere.
const LOOKS: [(u32, &str, Rules); 4] = [
    (390, "light", Rules::All),
    (390, "dark", Rules::Colours),
    (1280, "light", Rules::Colours),
    (1280, "dark", Rules::All),
];

/// Rules of axe.
#[derive(Debug, Clone, Copy)]
enum Rules {
    /// All that somebody may be shut out by.
    All,
    /// Those about colours.
    Colours,
}

impl Rules {
    /// The rules, as axe wants them named.
    fn named(self) -> Value {
        match self {
            Self::All => json!(["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]),
            Self::Colours => json!({"type": "rule", "values": ["color-contrast"]}),
        }
    }
}
/// Most bytes of a page on its way, with everything that it loads.
pub const PAGE: u64 = 20 << 10;
/// Most bytes of the terminal's page, which loads a program of its own.
pub const TERMINAL: u64 = 115 << 10;
/// Name of the folder to which pictures go, in the environment. Without it none are taken.
const PICTURES: &str = "BERTH_PICTURES";

/// Faults of a page that depend on its width and look. The last statement's value is a list of sentences.
const SEEN: &str = r#"
const faults = [];
const wide = document.documentElement.scrollWidth;
if (wide > innerWidth) faults.push(`it scrolls sideways: ${wide} pixels`);
const aims = "button, .button, select, textarea, summary, nav a, .choice, "
  + "input:not([type=hidden]):not([type=radio]):not([type=checkbox])";
for (const aim of document.querySelectorAll(aims)) {
  // A terminal reads keys through a field that nobody sees.
  if (aim.closest(".xterm")) continue;
  const { width, height } = aim.getBoundingClientRect();
  if (aim.checkVisibility() && (width < 43.5 || height < 43.5)) {
    faults.push(`a target of ${width} × ${height} pixels: ${aim.outerHTML.slice(0, 120)}`);
  }
}
const found = await axe.run(document, {
  resultTypes: ["violations"],
  runOnly: arguments[0],
});
for (const { impact, id, help, nodes } of found.violations) {
  if (impact !== "serious" && impact !== "critical") continue;
  const where = nodes.map((node) => `${node.html.slice(0, 160)} (${node.failureSummary})`);
  faults.push(`axe, ${impact}: ${id}, ${help}: ${where.join("; ")}`);
}
return faults;
"#;

/// Everything that the page has loaded: address and bytes on their way. A stream of events has no end, and no size.
const LOADED: &str = r#"
const entries = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
return entries.filter(({ name }) => !new URL(name).pathname.endsWith("/events"))
  .map(({ name, encodedBodySize }) => [name, encodedBodySize]);
"#;

/// A judge of pages.
#[derive(Debug)]
pub struct Fit {
    axe: String,
    pictures: Option<PathBuf>,
    /// Pages that were judged, with their bytes.
    weights: Vec<(u64, String)>,
    faults: Vec<String>,
    begun: Instant,
}

impl Fit {
    /// A judge with the axe of the lock file.
    #[track_caller]
    pub fn new() -> Self {
        let axe = source_tree().join("tests/axe/node_modules/axe-core/axe.min.js");
        let axe = fs::read_to_string(axe).expect("axe-core: scripts/install.sh test");
        let pictures = std::env::var_os(PICTURES).map(PathBuf::from);
        if let Some(folder) = &pictures {
            fs::create_dir_all(folder).expect("a folder for pictures");
        }
        Self { axe, pictures, weights: Vec::new(), faults: Vec::new(), begun: Instant::now() }
    }

    /// Judges the page that the browser shows, and takes pictures of it where they are asked for. `most` bytes may come for it.
    #[track_caller]
    pub fn judge_within(&mut self, browser: &Browser, name: &str, most: u64) {
        let mut faults = Vec::new();
        if browser.title().is_empty() {
            faults.push("it has no title".to_owned());
        }
        let loaded = Loaded::by(browser);
        faults.extend(loaded.faults(most));
        self.weights.push((loaded.bytes(), name.to_owned()));
        faults.extend(browser.offences());
        browser.script(&self.axe);
        for (width, look, rules) in LOOKS {
            browser.look(width, look);
            let seen = format!("return (async function () {{ {SEEN} }})({})", rules.named());
            let seen = browser.script(&seen);
            let seen = seen.as_array().expect("a list").iter().filter_map(Value::as_str);
            faults.extend(seen.map(|fault| format!("at {width}, {look}: {fault}")));
            if let Some(folder) = &self.pictures {
                browser.picture(&folder.join(format!("{name}-{width}-{look}.png")));
            }
        }
        self.faults.extend(faults.into_iter().map(|fault| format!("{name}: {fault}")));
    }

    /// Judges a page as [`Fit::judge_within`] does, with the bytes that pages may have.
    #[track_caller]
    pub fn judge(&mut self, browser: &Browser, name: &str) {
        self.judge_within(browser, name, PAGE);
    }

    /// Asserts that every page was without a fault, and tells how heavy they are.
    #[track_caller]
    pub fn end(self) {
        let heaviest = self.weights.iter().max().expect("a page");
        let (pages, seconds) = (self.weights.len(), self.begun.elapsed().as_secs());
        eprintln!("{pages} pages in {seconds} s; the heaviest is {} with {} bytes", heaviest.1, heaviest.0);
        assert!(self.faults.is_empty(), "{}", json!(self.faults).to_string().replace("\",\"", "\",\n\""));
    }
}

/// Everything that a page has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Beginning of the addresses of the page's own host.
    own: String,
    /// Addresses, with the bytes on their way.
    all: Vec<(String, u64)>,
}

impl Loaded {
    /// Asks the browser for what its page has loaded so far, the page itself included.
    #[track_caller]
    pub fn by(browser: &Browser) -> Self {
        let host = browser.script("return location.host");
        let own = format!("https://{}/", host.as_str().expect("a host"));
        let all = browser.script(LOADED);
        let one = |one: &Value| {
            let address = one[0].as_str().expect("an address").to_owned();
            (address, one[1].as_u64().expect("a size"))
        };
        Self { own, all: all.as_array().expect("a list").iter().map(one).collect() }
    }

    /// Bytes, all together.
    pub fn bytes(&self) -> u64 {
        self.all.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Returns whether a file of this name came: `style.css` does by an address such as `/assets/style.1a2b.css`.
    pub fn has(&self, name: &str) -> bool {
        let Some((stem, end)) = name.rsplit_once('.') else { return false };
        let is_it = |file: &str| file.starts_with(&format!("{stem}.")) && file.ends_with(&format!(".{end}"));
        self.all.iter().any(|(address, _)| address.rsplit('/').next().is_some_and(is_it))
    }

    /// Faults in it, where `most` bytes may come.
    pub fn faults(&self, most: u64) -> Vec<String> {
        let is_own = |address: &str| address.starts_with(&self.own) || address.starts_with("data:");
        let foreign = self.all.iter().filter(|(address, _)| !is_own(address));
        let mut faults: Vec<_> = foreign.map(|(address, _)| format!("it asks {address}")).collect();
        let bytes = self.bytes();
        if bytes > most {
            faults.push(format!("{bytes} bytes come for it, and {most} may"));
        }
        faults
    }
}

impl Default for Fit {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(all: &[(&str, u64)]) -> Loaded {
        let all = all.iter().map(|(path, bytes)| ((*path).to_owned(), *bytes)).collect();
        Loaded { own: "https://panel.example.org:8443/".to_owned(), all }
    }

    #[test]
    fn a_byte_too_many_is_a_fault() {
        let (page, style) =
            ("https://panel.example.org:8443/vm/1", "https://panel.example.org:8443/assets/style.0a.css");
        for most in [PAGE, TERMINAL] {
            assert_eq!(loaded(&[(page, most - 100), (style, 100)]).faults(most), Vec::<String>::new());
            let faults = loaded(&[(page, most - 100), (style, 101)]).faults(most);
            assert!(faults.iter().any(|fault| fault.contains("bytes come for it")), "{faults:?}");
        }
        assert!(loaded(&[(style, 1)]).has("style.css") && !loaded(&[(style, 1)]).has("xterm.css"));
    }

    #[test]
    fn another_host_is_a_fault() {
        for address in ["https://panel.example.org/x.js", "https://panel.example.org:8443.evil.example/x.js"]
        {
            assert_eq!(loaded(&[(address, 1)]).faults(PAGE), [format!("it asks {address}")]);
        }
        assert!(loaded(&[("data:image/svg+xml,", 1)]).faults(PAGE).is_empty());
    }
}

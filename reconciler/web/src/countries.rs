//! Countries from which people may open the panel, by a file of MaxMind's that an admin puts into the panel's data.
//!
//! Only the networks of these countries are kept of it, so that ten megabytes of file don't stay in memory. It is read again when it
//! changes. A file that can't be used takes the last one's word away: nobody is let in by country then.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_schema::access::Admission;
use berth_schema::country::Country;
use berth_wire::countries::{CountriesStanding, CountryFile, CountryTrouble};
use ipnet::IpNet;
use jiff::Timestamp;
use maxminddb::{MaxMindDbError, PathElement, Reader, WithinOptions};
use parking_lot::RwLock;
use rustix::fs::OFlags;

/// The file's name in the panel's data.
const FILE: &str = "countries.mmdb";
/// The longest file that is read, in bytes: several times as long as one of countries is.
const LONGEST: u64 = 64 << 20;
/// Records whose country is remembered while a file is read. A file of countries has some hundreds, and one of cities has millions.
const REMEMBERED: usize = 4096;
/// Path to a country's code in a record.
const CODE: [PathElement<'static>; 2] = [PathElement::Key("country"), PathElement::Key("iso_code")];

/// Countries from which people may open the panel. A clone is the same ones.
#[derive(Debug, Clone)]
pub struct Countries(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    data: PathBuf,
    file: PathBuf,
    wanted: Vec<Country>,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    /// Identity of the file, if it could be opened.
    stamp: Option<Stamp>,
    networks: Networks,
    found: CountryFile,
}

/// The country file can't be used.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is longer than {LONGEST} bytes", .0.display())]
    Long(PathBuf),
    #[error("{} is no file of MaxMind's, or a broken one", path.display())]
    Broken {
        path: PathBuf,
        #[source]
        source: MaxMindDbError,
    },
    #[error("{} names no countries", .0.display())]
    Nameless(PathBuf),
    #[error("{} is broken: its networks overlap", .0.display())]
    Tangled(PathBuf),
}

impl FileError {
    fn trouble(&self) -> CountryTrouble {
        match self {
            Self::Missing(_) => CountryTrouble::Missing,
            Self::Read { .. } => CountryTrouble::Unreadable,
            Self::Long(_) | Self::Broken { .. } | Self::Nameless(_) | Self::Tangled(_) => {
                CountryTrouble::Broken
            }
        }
    }
}

impl Countries {
    /// Reads the file in the panel's data, where there are countries to let in.
    pub fn open(data: &Path, wanted: &[Country]) -> Self {
        let file = data.join(FILE);
        let current = match wanted {
            [] => Current::nobody(None, &FileError::Missing(file.clone())),
            wanted => Current::read(&file, wanted),
        };
        let this = Self(Arc::new(Inner {
            data: data.to_owned(),
            file,
            wanted: wanted.to_vec(),
            current: RwLock::new(current),
        }));
        this.tell();
        this
    }

    /// Returns whether somebody at this address may open the panel, whom the settings answer like this.
    pub fn let_in(&self, from: IpAddr, answer: Admission) -> bool {
        match answer {
            Admission::Open => true,
            Admission::ByCountry => self.0.current.read().networks.hold(from),
            Admission::Shut => false,
        }
    }

    /// Reads the file again if it has changed.
    pub fn look(&self) {
        let Inner { file, wanted, current, .. } = &*self.0;
        if wanted.is_empty() {
            return;
        }
        let stamp = fs::metadata(file).ok().map(|found| Stamp::of(&found));
        if stamp.is_some() && stamp == current.read().stamp {
            return;
        }
        let next = Current::read(file, wanted);
        let is_news = next.found != current.read().found;
        *current.write() = next;
        if is_news {
            self.tell();
        }
    }

    /// Returns how things are; `None` where no countries are to be let in.
    pub fn standing(&self) -> Option<CountriesStanding> {
        let Inner { file, wanted, current, .. } = &*self.0;
        let found = current.read().found.clone();
        (!wanted.is_empty()).then(|| CountriesStanding {
            countries: wanted.clone(),
            file: file.clone(),
            found,
        })
    }

    fn tell(&self) {
        let Some(standing) = self.standing() else { return };
        if let Err(error) = standing.write(&self.0.data) {
            tracing::warn!(%error, "`berth status` can't be told of the countries");
        }
        match &standing.found {
            CountryFile::Good { made, .. } => {
                tracing::info!(%made, "the panel lets people in by country");
            }
            CountryFile::Bad { why, trouble } => {
                tracing::error!(why, hint = trouble.hint(), "the panel lets nobody in by country");
            }
        }
    }
}

impl Current {
    fn read(file: &Path, wanted: &[Country]) -> Self {
        let mut stamp = None;
        let content = content(file, &mut stamp);
        match content.and_then(|content| Found::in_file(file, content, wanted)) {
            Ok(Found { networks, made, unknown }) => {
                Self { stamp, networks, found: CountryFile::Good { made, unknown } }
            }
            Err(error) => Self::nobody(stamp, &error),
        }
    }

    fn nobody(stamp: Option<Stamp>, error: &FileError) -> Self {
        let found = CountryFile::Bad { trouble: error.trouble(), why: berth_fault::chain(error) };
        Self { stamp, networks: Networks::default(), found }
    }
}

/// Reads a file as a whole, and notes which one it was.
fn content(path: &Path, stamp: &mut Option<Stamp>) -> Result<Vec<u8>, FileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => FileError::Missing(path.to_owned()),
        _ => FileError::Read { path: path.to_owned(), source },
    };
    let open = |path: &Path| -> io::Result<(File, Metadata)> {
        // A pipe isn't waited for. A link is followed: it leads no further than this user may read.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
        let found = file.metadata()?;
        match found.is_file() {
            true => Ok((file, found)),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")),
        }
    };
    let (file, found) = open(path).map_err(failed)?;
    *stamp = Some(Stamp::of(&found));
    let mut content = Vec::with_capacity(usize::try_from(found.len().min(LONGEST)).unwrap_or_default() + 1);
    file.take(LONGEST + 1).read_to_end(&mut content).map_err(failed)?;
    match content.len() as u64 > LONGEST {
        true => Err(FileError::Long(path.to_owned())),
        false => Ok(content),
    }
}

/// Identity of a file, by which a change is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl Stamp {
    fn of(found: &Metadata) -> Self {
        Self {
            file: (found.dev(), found.ino()),
            length: found.len(),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Everything that a file says of some countries.
#[derive(Debug)]
struct Found {
    networks: Networks,
    made: Timestamp,
    unknown: Vec<Country>,
}

impl Found {
    fn in_file(path: &Path, content: Vec<u8>, wanted: &[Country]) -> Result<Self, FileError> {
        let broken = |source| FileError::Broken { path: path.to_owned(), source };
        let reader = Reader::from_source(content).map_err(broken)?;
        let metadata = reader.metadata();
        let made =
            i64::try_from(metadata.build_epoch).ok().and_then(|made| Timestamp::from_second(made).ok());
        // A tree has one leaf more than it has nodes. One in which more are found leads to some of them on several ways.
        let mut leaves = u64::from(metadata.node_count) + 1;
        let options = WithinOptions::default().include_networks_without_data();
        let (mut networks, mut known) = (Vec::new(), BTreeSet::new());
        let (mut countries, mut is_nameless) = (HashMap::new(), true);
        for leaf in reader.networks(options).map_err(broken)? {
            let leaf = leaf.map_err(broken)?;
            leaves = leaves.checked_sub(1).ok_or_else(|| FileError::Tangled(path.to_owned()))?;
            let Some(record) = leaf.offset() else { continue };
            let country = match countries.get(&record) {
                Some(country) => *country,
                None => {
                    let code: Option<&str> = leaf.decode_path(&CODE).map_err(broken)?;
                    is_nameless &= code.is_none();
                    let country = wanted.iter().find(|wanted| Some(wanted.as_str()) == code).copied();
                    if countries.len() < REMEMBERED {
                        countries.insert(record, country);
                    }
                    country
                }
            };
            let Some(country) = country else { continue };
            known.insert(country);
            let network = leaf.network().map_err(broken)?;
            networks.extend(IpNet::new(network.network(), network.prefix()));
        }
        // The file goes first: what follows takes room, too.
        drop(reader);
        if is_nameless {
            return Err(FileError::Nameless(path.to_owned()));
        }
        Ok(Self {
            networks: Networks::of(networks),
            made: made.unwrap_or(Timestamp::UNIX_EPOCH),
            unknown: wanted.iter().filter(|country| !known.contains(country)).copied().collect(),
        })
    }
}

/// Networks of which none holds another, in the order of their addresses.
#[derive(Debug, Default)]
struct Networks(Box<[IpNet]>);

impl Networks {
    fn of(networks: Vec<IpNet>) -> Self {
        let mut networks = IpNet::aggregate(&networks);
        networks.sort_unstable();
        Self(networks.into())
    }

    fn hold(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let after = self.0.partition_point(|network| network.network() <= address);
        let nearest = after.checked_sub(1).and_then(|nearest| self.0.get(nearest));
        nearest.is_some_and(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use berth_testing::{country_file, countryless_file};
    use tempfile::TempDir;

    use super::*;

    const MADE: u64 = 1_764_000_000;
    const NETWORKS: [(&str, &str); 8] = [
        ("5.20.0.0/16", "LT"),
        ("46.109.0.0/17", "LV"),
        ("46.109.128.0/17", "LV"),
        ("192.168.7.0/24", "LT"),
        ("203.0.113.128/25", "EE"),
        ("255.255.255.255/32", "LT"),
        ("2a00:1a28::/32", "LT"),
        ("2a03:ec00::/29", "LV"),
    ];

    struct Data(TempDir);

    impl Data {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self) -> PathBuf {
            self.0.path().join(FILE)
        }

        /// Puts a file there in one step, as geoipupdate does.
        fn put(&self, content: &[u8]) {
            berth_host::file::replace(&self.file(), content, 0o644).unwrap();
        }

        fn open(&self, codes: &[&str]) -> Countries {
            let wanted: Vec<Country> = codes.iter().map(|code| code.parse().unwrap()).collect();
            Countries::open(self.0.path(), &wanted)
        }

        fn told(&self) -> Option<CountryFile> {
            CountriesStanding::read(self.0.path()).map(|told| told.found)
        }
    }

    fn lets_in(countries: &Countries, from: &str) -> bool {
        let from = from.parse().unwrap();
        countries.let_in(from, Admission::of(from, &[], &countries.0.wanted))
    }

    #[track_caller]
    fn is_shut(countries: &Countries, trouble: CountryTrouble, words: &str) {
        assert!(!lets_in(countries, "5.20.1.1"));
        let CountryFile::Bad { trouble: told, why } = countries.standing().unwrap().found else {
            panic!("it is good")
        };
        assert!(told == trouble && why.contains(words), "{told:?}: {why}");
        assert!(why.contains(FILE), "{why}");
    }

    #[test]
    fn whoever_is_in_one_of_the_countries_is_let_in() {
        let data = Data::new();
        data.put(&country_file(&NETWORKS, MADE));
        let countries = data.open(&["LT", "LV"]);
        for good in [
            "5.20.0.0",
            "5.20.255.255",
            "::ffff:5.20.1.1",
            "46.109.0.1",
            "46.109.255.255",
            "255.255.255.255",
            "2a00:1a28::1",
            "2a03:ec07:ffff::1",
        ] {
            assert!(lets_in(&countries, good), "{good}");
        }
        for bad in [
            "5.19.255.255",
            "5.21.0.0",
            "::ffff:5.21.0.1",
            "46.110.0.0",
            "203.0.113.200",
            "8.8.8.8",
            "2a00:1a27::1",
            "2a00:1a29::1",
            "2a03:ec08::1",
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "ffff::1",
            // Somebody's file says where it is; it is in no country all the same.
            "192.168.7.7",
            "::ffff:192.168.7.7",
            // IPv6 addresses that hold an IPv4 address lead to no country.
            "2002:514:101::1",
            "::5.20.1.1",
        ] {
            assert!(!lets_in(&countries, bad), "{bad}");
        }
        // Both halves of the one network are kept as one.
        assert_eq!(countries.0.current.read().networks.0.len(), 6);
        let made = Timestamp::from_second(MADE.cast_signed()).unwrap();
        assert_eq!(data.told(), Some(CountryFile::Good { made, unknown: Vec::new() }));
    }

    #[test]
    fn countries_without_a_network_are_told_and_no_country_is_no_business_of_the_file_s() {
        let data = Data::new();
        data.put(&country_file(&NETWORKS, MADE));
        let countries = data.open(&["XK", "LT", "AQ"]);
        let CountryFile::Good { unknown, .. } = countries.standing().unwrap().found else {
            panic!("it is bad")
        };
        assert_eq!(unknown.iter().map(Country::as_str).collect::<Vec<_>>(), ["XK", "AQ"]);
        assert!(lets_in(&countries, "5.20.1.1") && !lets_in(&countries, "46.109.0.1"));

        let data = Data::new();
        data.put(b"nonsense");
        let nobody = data.open(&[]);
        nobody.look();
        assert_eq!((nobody.standing(), data.told()), (None, None));
        assert!(lets_in(&nobody, "8.8.8.8"), "without countries and networks everybody may");
    }

    #[test]
    fn a_file_that_can_t_be_used_lets_nobody_in() {
        let data = Data::new();
        let countries = data.open(&["LT"]);
        is_shut(&countries, CountryTrouble::Missing, "there is no file");
        assert!(matches!(data.told(), Some(CountryFile::Bad { .. })));
        let good = country_file(&NETWORKS, MADE);
        let middle = good.len() / 2;
        // Half of a download, and one of which a part is lost.
        for broken in [
            &[],
            &b"<!doctype html>"[..],
            &good[..middle],
            &good[middle..],
            &[&good[..64], &good[middle..]].concat(),
        ] {
            data.put(broken);
            countries.look();
            is_shut(&countries, CountryTrouble::Broken, "");
        }
        data.put(&countryless_file(&["5.20.0.0/16"]));
        countries.look();
        is_shut(&countries, CountryTrouble::Broken, "names no countries");
        // A tree whose branches lead back into it has no end.
        let mut tangled = good.clone();
        tangled[..8].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        data.put(&tangled);
        countries.look();
        is_shut(&countries, CountryTrouble::Broken, "");
        fs::remove_file(data.file()).unwrap();
        fs::create_dir(data.file()).unwrap();
        countries.look();
        is_shut(&countries, CountryTrouble::Unreadable, "it is not a file");
        fs::remove_dir(data.file()).unwrap();
        File::create(data.file()).unwrap().set_len(LONGEST + 1).unwrap();
        countries.look();
        is_shut(&countries, CountryTrouble::Broken, "longer than");
        data.put(&good);
        countries.look();
        assert!(lets_in(&countries, "5.20.1.1"));
    }

    #[test]
    fn another_file_is_read_without_a_restart_and_a_lost_one_has_no_word() {
        let data = Data::new();
        data.put(&country_file(&[("5.20.0.0/16", "LT")], MADE));
        let countries = data.open(&["LT"]);
        data.put(&country_file(&[("5.21.0.0/16", "LT")], MADE));
        assert!(lets_in(&countries, "5.20.1.1"), "nobody has looked");
        countries.look();
        assert!(!lets_in(&countries, "5.20.1.1") && lets_in(&countries, "5.21.1.1"));
        // As geoipupdate does in a folder of its own, to which a link leads.
        let own = data.0.path().join("GeoLite2-Country.mmdb");
        fs::write(&own, country_file(&[("5.22.0.0/16", "LT")], MADE)).unwrap();
        fs::remove_file(data.file()).unwrap();
        symlink(&own, data.file()).unwrap();
        countries.look();
        assert!(lets_in(&countries, "5.22.1.1"));
        berth_host::file::replace(&own, &country_file(&[("5.23.0.0/16", "LT")], MADE), 0o644).unwrap();
        countries.look();
        assert!(lets_in(&countries, "5.23.1.1") && !lets_in(&countries, "5.22.1.1"));
        fs::remove_file(&own).unwrap();
        countries.look();
        is_shut(&countries, CountryTrouble::Missing, "there is no file");
        assert!(!lets_in(&countries, "5.23.1.1"));
    }
}

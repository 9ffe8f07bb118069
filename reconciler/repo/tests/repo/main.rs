//! The state repo against real git: every repository here is made, pushed to, packed and checked by the git program.

#[cfg(test)]
mod directory;
#[cfg(test)]
mod gathering;
#[cfg(test)]
mod git;
#[cfg(test)]
mod leftovers;
#[cfg(test)]
mod listing;
#[cfg(test)]
mod marking;
#[cfg(test)]
mod merging;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod pushing;
#[cfg(test)]
mod race;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod refusing;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod trail;
#[cfg(test)]
mod views;
#[cfg(test)]
mod writing;

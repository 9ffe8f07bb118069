//! The ground that the stories stand on: a private engine, a platform instance, a proxy.

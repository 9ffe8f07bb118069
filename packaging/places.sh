# The places of the state repo and of Berth's data, by /etc/default/berth: for the package's own scripts.
BERTH_STATE=/var/lib/berth/state.git
BERTH_DATA=/var/lib/berth/data
[ ! -r /etc/default/berth ] || . /etc/default/berth

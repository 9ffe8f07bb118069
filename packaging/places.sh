# The places of the state repo and of Berth's data, by /etc/default/berth: for the package's own scripts. systemd reads that file, and no
# shell does: a value may have spaces and anything else that a shell would act on.
berth_place() { # name, file, usual
    # The last one counts. What is no absolute path is no place.
    berth_found=$(sed -n "s/^[[:space:]]*$1=[[:space:]]*//p" "$2" 2>/dev/null | tail -n 1 |
        sed -e 's/[[:space:]]*$//' -e 's/^"\(.*\)"$/\1/' -e "s/^'\(.*\)'\$/\1/" -e 's|//*$||')
    case $berth_found in
    /*) printf '%s\n' "$berth_found" ;;
    *) printf '%s\n' "$3" ;;
    esac
}
berth_places() { # file
    BERTH_STATE=$(berth_place BERTH_STATE "$1" /var/lib/berth/state.git)
    BERTH_DATA=$(berth_place BERTH_DATA "$1" /var/lib/berth/data)
}

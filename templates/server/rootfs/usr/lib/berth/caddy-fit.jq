# Fits a member's adapted Caddy configuration to this place. $web is the platform's web server, through which everybody comes.

# What it says of a visitor and of HTTPS is true, so apps may hear it, unless the configuration says whom to trust.
def trusting:
  walk(
    if type == "object" and .handler? == "reverse_proxy" and (has("trusted_proxies") | not)
    then .trusted_proxies = [$web]
    else . end
  );

# Sites of their own name come before the site for everything else.
def ordered: map(select(.match)) + map(select(.match | not));

# A site without `http://` would wait for TLS at port 443, where nobody comes: TLS ends before this server. It is served at port 80.
def at_port_80:
  def at($port): [to_entries[] | select((.value.listen // []) | index($port))] | first;
  (.apps.http.servers // {}) as $servers
  | ($servers | at(":443")) as $secure
  | ($servers | at(":80")) as $plain
  | if $secure == null then .
    else
      ($plain.value // {}) as $there
      | .apps.http.servers[($plain // $secure).key] = (
          ($secure.value * $there)
          | .listen = [":80"]
          | .routes = (($secure.value.routes // []) + ($there.routes // []) | ordered)
          | (($secure.value.errors.routes // []) + ($there.errors.routes // []) | ordered) as $errors
          | if $errors == [] then . else .errors.routes = $errors end
          | del(.tls_connection_policies)
        )
      | if $plain == null then . else del(.apps.http.servers[$secure.key]) end
    end;

at_port_80 | trusting

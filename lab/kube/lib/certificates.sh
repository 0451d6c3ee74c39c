# shellcheck shell=bash
# The cluster's certificate authority, certificates and kubeconfigs, below LAB_DIR/pki. Sourced.

CERTIFICATE_DAYS=3650

new_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

make_authority() {
  new_key ca.key
  openssl req -x509 -new -key ca.key -out ca.crt -days $CERTIFICATE_DAYS -subj /CN=cleat-lab
}

# make_certificate NAME SUBJECT [ALTERNATIVE_NAMES]: NAME.key and NAME.crt, for clients and servers.
make_certificate() {
  local name=$1 subject=$2 names=${3:-}
  new_key "$name.key"
  openssl req -new -key "$name.key" -subj "$subject" |
    openssl x509 -req -CA ca.crt -CAkey ca.key -set_serial "0x$(openssl rand -hex 8)" \
      -days $CERTIFICATE_DAYS -out "$name.crt" -extfile <(
        echo "keyUsage=digitalSignature,keyEncipherment"
        echo "extendedKeyUsage=clientAuth,serverAuth"
        [ -z "$names" ] || echo "subjectAltName=$names"
      )
}

# make_user NAME SUBJECT [ALTERNATIVE_NAMES]: a certificate, and a kubeconfig that uses it.
make_user() {
  local pki=$LAB_DIR/pki
  make_certificate "$@"
  cat >"$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: lab
    cluster: {server: "$(api_server)", certificate-authority: "$pki/ca.crt"}
users:
  - name: $1
    user: {client-certificate: "$pki/$1.crt", client-key: "$pki/$1.key"}
contexts:
  - name: lab
    context: {cluster: lab, user: $1}
current-context: lab
YAML
}

api_server_names() {
  local name=kubernetes
  printf 'IP:127.0.0.1,IP:%s,IP:%s,DNS:localhost,DNS:%s,DNS:%s' "$(node_address "$CONTROL_PLANE")" \
    "$SERVICE_NETWORK.0.1" "$CONTROL_PLANE" $name
  printf ',DNS:%s' $name.default $name.default.svc $name.default.svc.cluster.local
}

make_all_certificates() {
  local name
  make_authority
  make_certificate kube-apiserver /CN=kube-apiserver "$(api_server_names)"
  make_user admin /O=system:masters/CN=admin
  make_user kube-controller-manager /CN=system:kube-controller-manager
  make_user kube-scheduler /CN=system:kube-scheduler
  make_user kube-proxy /CN=system:kube-proxy
  make_user coredns /CN=coredns
  for name in $(node_names); do
    make_user "$name" "/O=system:nodes/CN=system:node:$name" \
      "IP:$(node_address "$name"),DNS:$name"
  done
  openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out service-accounts.key
  openssl pkey -in service-accounts.key -pubout -out service-accounts.pub
}

# Once for the life of the lab's directory.
make_certificates() {
  [ ! -e "$LAB_DIR/pki/complete" ] || return 0
  rm -rf "$LAB_DIR/pki"
  (
    umask 077
    mkdir "$LAB_DIR/pki"
    cd "$LAB_DIR/pki" || exit
    make_all_certificates >log 2>&1
    touch complete
  )
}

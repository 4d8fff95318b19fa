using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [ (name = "main", worker = .hello) ],
  sockets = [ (name = "http", address = "*:80", http = (), service = "main") ]
);

const hello :Workerd.Worker = (
  modules = [ (name = "worker", esModule = embed "workerd.js") ],
  compatibilityDate = "2026-11-01",
);

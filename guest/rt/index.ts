import "./tlsf";
import "./heap";

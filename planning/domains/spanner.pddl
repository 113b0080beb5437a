(define (domain spanner)
  (:requirements :strips :typing)
  (:types location man nut spanner)
  (:predicates (at-man ?m - man ?l - location) (at-nut ?n - nut ?l - location)
    (at-spanner ?s - spanner ?l - location) (link ?x - location ?y - location)
    (carrying ?m - man ?s - spanner) (useable ?s - spanner) (loose ?n - nut) (tightened ?n - nut))
  (:action walk
    :parameters (?from - location ?to - location ?m - man)
    :precondition (and (at-man ?m ?from) (link ?from ?to))
    :effect (and (at-man ?m ?to) (not (at-man ?m ?from))))
  (:action pickup-spanner
    :parameters (?l - location ?s - spanner ?m - man)
    :precondition (and (at-man ?m ?l) (at-spanner ?s ?l))
    :effect (and (carrying ?m ?s) (not (at-spanner ?s ?l))))
  (:action tighten-nut
    :parameters (?l - location ?s - spanner ?m - man ?n - nut)
    :precondition (and (at-man ?m ?l) (at-nut ?n ?l) (carrying ?m ?s) (useable ?s) (loose ?n))
    :effect (and (tightened ?n) (not (loose ?n)) (not (useable ?s)))))

(define (domain ferry)
  (:requirements :strips :typing)
  (:types location car)
  (:predicates (at-ferry ?l - location) (at ?c - car ?l - location) (on ?c - car) (empty))
  (:action sail
    :parameters (?from - location ?to - location)
    :precondition (at-ferry ?from)
    :effect (and (at-ferry ?to) (not (at-ferry ?from))))
  (:action board
    :parameters (?c - car ?l - location)
    :precondition (and (at ?c ?l) (at-ferry ?l) (empty))
    :effect (and (on ?c) (not (at ?c ?l)) (not (empty))))
  (:action debark
    :parameters (?c - car ?l - location)
    :precondition (and (on ?c) (at-ferry ?l))
    :effect (and (at ?c ?l) (empty) (not (on ?c)))))

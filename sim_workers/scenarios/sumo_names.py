"""What elements SUMO 1.28 knows in its input and state files, and what attributes each can have.

Taken from the schemas that come with it (``net_file.xsd``, ``routes_file.xsd``,
``additional_file.xsd``, ``state_file.xsd``, ``meandata_file.xsd``), and from its manual where they
say less. SUMO looks at the name of an element, not at where it stands. Elements that can have the
same attributes are listed together, and those of car-following models, which a ``<vType>`` can have
as well, with the models only.
"""

from functools import cache

__all__ = ["known_attributes"]

_TEXT = """
access: friendlyPos lane length pos
additional meandata metadata routes:
approaching: arrivalSpeed arrivalSpeedBraking arrivalTime arrivalTimeBraking departSpeed distance id
  posLat request waitingTime
assignment: check id value
bidiPredecessor foeInsertion insertionOrder insertionPredecessor predecessor: active foes limit tl
  tripId
busStop trainStop: angle color endPos friendlyPos id lane lines name parkingLength personCapacity
  startPos
calibrator: edge file freq friendlyPos id jamThreshold lane local name node output period pos
  routeProbe vTypes
carFollowing-ACC: accel collisionAvoidanceGainSpace collisionAvoidanceGainSpeed decel
  gapClosingControlGainSpace gapClosingControlGainSpeed gapControlGainSpace gapControlGainSpeed
  speedControlGain
carFollowing-BKerner: accel decel k phi sigma tau
carFollowing-CACC: accel collisionAvoidanceGainGap collisionAvoidanceGainGapDot
  collisionAvoidanceGainSpace collisionAvoidanceGainSpeed collisionMinGapFactor decel emergencyDecel
  gapClosingControlGainGap gapClosingControlGainGapDot gapClosingControlGainSpace
  gapClosingControlGainSpeed gapControlGainGap gapControlGainGapDot gapControlGainSpace
  gapControlGainSpeed speedControlGainCACC tau
carFollowing-CC: accel c1 ccAccel ccDecel constSpacing decel flatbedD flatbedH flatbedKa flatbedKp
  flatbedKv kp lambda lanesCount omegaN ploegH ploegKd ploegKp tau tauEngine xi
carFollowing-Daniel1 carFollowing-SmartSK: accel decel sigma sigmaStep tau tmp1 tmp2 tmp3 tmp4 tmp5
carFollowing-EIDM: Mbegin Mflatness accel ccoolness decel delta desAccelProfile epsilonacc jerkmax
  maxAccelProfile maxvehpreview sigmaerror sigmagap sigmaleader stepping tPersDrive tPersEstimate
  taccmax tau tpreview treaction vehdynamics
carFollowing-IDM: accel decel delta stepping tau
carFollowing-IDMM: accel adaptFactor adaptTime decel stepping tau
carFollowing-Krauss carFollowing-KraussOrig1 carFollowing-KraussPS: accel decel sigma sigmaStep tau
carFollowing-PWagner2009: accel apProb decel sigma tau tauLast
carFollowing-W99: cc1 cc2 cc3 cc4 cc5 cc6 cc7 cc8 cc9
carFollowing-Wiedemann: accel decel estimation security tau
cfmVars: id state
chargingStation: angle chargeDelay chargeInTransit chargeType efficiency endPos friendlyPos id lane
  lines name parkingArea power startPos totalPower waitingTime
closingLaneReroute: allow disallow id
closingReroute: allow disallow id until
condition: id value
conflict: endPos from fromLane startPos to toLane
connection: allow changeLeft changeRight contPos dir disallow from fromLane indirect keepClear
  length linkIndex linkIndex2 pass shape speed state tl to toLane type uncontrolled via visibility
container: arrival color depart departPos id state type
containerFlow: arrival begin color containersPerHour departPos end id number perHour period
  probability type
containerStop: angle color containerCapacity endPos friendlyPos id lane lines name parkingLength
  startPos
deadlock: signals time vehicles
delay: begin decel depart end loaderTime number speedFactor time
destProbReroute routeProbReroute viaProbReroute: id probability
detEntry detExit: friendlyPos lane pos
device: customers edge exitTimes id reservations state
dispatcher: count customers next
driveWay subDriveWay: edges id vehicles
e1Detector inductionLoop: detectPersons file freq friendlyPos id lane length mesoTLS name nextEdges
  period pos type vTypes
e2Detector laneAreaDetector: cont detectPersons endPos file freq friendlyPos id jamThreshold lane
  lanes length name nextEdges period pos show speedThreshold timeThreshold tl to vTypes
e3Detector entryExitDetector: detectPersons expectArrival file freq id name nextEdges openEntry
  period pos speedThreshold timeThreshold vTypes
edge: CO2_abs CO2_normed CO2_perVeh CO_abs CO_normed CO_perVeh HC_abs HC_normed HC_perVeh NOx_abs
  NOx_normed NOx_perVeh PMx_abs PMx_normed PMx_perVeh arrived bidi bikeSpeed crossingEdges density
  departed distance electricity_abs electricity_normed electricity_perVeh entered flow from fuel_abs
  fuel_normed fuel_perVeh function id laneChangedFrom laneChangedTo laneDensity left length name
  noise numEdges occupancy overlapDensity overlapTraveltime pastBikeSpeed pastSpeed priority
  routingType sampledSeconds shape speed speedRelative spreadType teleported timeLoss to traveltime
  type vaporized vaporizedOnNextEdge waitingTime
edgeControl: lanes
edgeData laneData: aggregate begin detectPersons edges edgesFile end excludeEmpty file freq id
  maxTraveltime minSamples period speedThreshold speedThresholdRelative trackVehicles type vTypes
  withInternal writeAttributes
flow: arrivalEdge arrivalLane arrivalPos arrivalPosLat arrivalSpeed begin color containerNumber
  departEdge departLane departPos departPosLat departSpeed end from fromJunction fromTaz id
  insertionChecks line number parkingBadges perHour period personNumber probability reroute route
  speed speedFactor to toJunction toTaz type vehsPerHour via viaJunctions
flowState: arrivalEdge arrivalLane arrivalPos arrivalPosLat arrivalSpeed begin color containerNumber
  departEdge departLane departPos departPosLat departSpeed done end from fromJunction fromTaz id
  index insertionChecks line next number parkingBadges perHour period personNumber probability
  reroute route speedFactor to toJunction toTaz type vehsPerHour via viaJunctions
function: id nArgs
include: href
instantInductionLoop: detectPersons file friendlyPos id lane name nextEdges pos vTypes
interval: begin end id
junction: customShape fringe id incLanes intLanes name radius rightOfWay roundabout shape type x y z
lane: CO2_abs CO2_normed CO2_perVeh CO_abs CO_normed CO_perVeh HC_abs HC_normed HC_perVeh NOx_abs
  NOx_normed NOx_perVeh PMx_abs PMx_normed PMx_perVeh acceleration allow arrived changeLeft
  changeRight customShape density departed disallow distance electricity_abs electricity_normed
  electricity_perVeh endOffset entered flow friction fuel_abs fuel_normed fuel_perVeh id index
  laneChangedFrom laneChangedTo laneDensity left length noise numEdges occupancy outlineShape
  overlapDensity overlapTraveltime prefer sampledSeconds shape speed speedRelative teleported
  timeLoss traveltime type vaporized vaporizedOnNextEdge waitingTime width
laneType: allow disallow index speed width
link: to
location: convBoundary netOffset origBoundary projParameter
meso: edgeLength jamThreshold junctionControl minorPenalty overtaking tauff taufj taujf taujj
  tlsFlowPenalty tlsPenalty
neigh: lane
net: avoidOverlap checkLaneFoesAll checkLaneFoesRoundabout internalJunctionsVehicleWidth
  junctionCornerDetail junctionHigherSpeed junctionLinkDetail junctionsEndpointShape
  junctionsMinimalShape lefthand limitTurnSpeed rectangularLaneCut spreadType
  tlsIgnoreInternalJunctionJam version walkingareas
overheadWire: clamps forbiddenInnerLanes segments substationId
overheadWireClamp: id idSegmentEndClamp idSegmentStartClamp substationId
overheadWireSegment: endPos friendlyPos id lane startPos voltageSource
overtakingReroute: defer main minSaving siding
param: key value
parkingArea: acceptedBadges angle departPos endPos friendlyPos id lane lefthand length lines name
  onRoad reservable roadsideCapacity startPos width
parkingAreaReroute: id probability visible
person: arrival arrivalPos color depart departPos id modes speedFactor state type vTypes
personFlow: arrival arrivalPos begin color departPos end id modes number perHour period
  personsPerHour probability speedFactor type vTypes vehsPerHour
personTrip: arrivalPos busStop chargingStation containerStop costs departPos departPosLat from
  fromJunction fromLonLat fromTaz fromXY group lines modes parkingArea to toJunction toLonLat toTaz
  toXY trainStop vTypes viaJunctions walkFactor
phase: duration earliestEnd earlyTarget finalTarget latestEnd maxDur minDur name next red state
  targetLanes vehext yellow
poi: angle color friendlyPos height icon id imgFile lane lat layer lon name pos posLat type width x
  y
poly: angle color fill geo height id imgFile layer lineWidth name shape type
preference: priority routingType vClasses vTypes
prohibition: prohibited prohibitor
railSignalConstraints segment: id
railSignalConstraintTracker: index lane state
rem: id pos time
request: cont foes index response
rerouter: edges file id name off optional pos probability radius timeThreshold vTypes visible
restriction: speed vClass
ride: arrivalPos busStop chargingStation containerStop cost depart ended from fromLonLat fromXY
  group intended lines parkingArea routeLength started to toLonLat toXY trainStop vehicle
rngLane: index state
rngState: default device device.btreceiver device.toc driverState insertionControl routeHandler
roundabout: edges nodes
route: color cost cycleTime edges exitTimes id probability reason refId repeat replacedAtTime
  replacedOnEdge replacedOnIndex routeLength savings state
routeDistribution: id last probabilities routes state
routeProbe: begin edge file freq id name period vTypes
routingEngine: index last
snapshot: constraints rail time type version
space: angle length name slope width x y z
stationReroute: id minSaving
step: speed time
stop: actType actualArrival arrival busStop chargingStation collision containerStop
  containerTriggered depart duration edge endPos ended expected expectedContainers extension
  friendlyPos index join jump jumpUntil lane lat line lon onDemand parking parkingArea permitted
  posLat priorEdges priorEdgesLength priority speed split startPos started trainStop triggered
  tripId until
stopOffset: exceptions vClasses value
taz: center color edges fill id name shape
tazSink tazSource: id weight
timedEvent: dest saveConditions saveDetectors source type
tlLogic: active cycleTime duration id nodes offset phase pos programID state type until
tractionSubstation: currentLimit id pos voltage
tranship: arrivalPos busStop chargingStation containerStop departPos duration edges ended from
  fromJunction fromTaz parkingArea speed started to toJunction toTaz trainStop
transport: arrivalPos busStop chargingStation containerStop cost depart ended from fromJunction
  fromTaz group intended lines parkingArea routeLength started to toJunction toTaz trainStop vehicle
transportables: state type
trip: arrivalEdge arrivalLane arrivalPos arrivalPosLat arrivalSpeed color containerNumber depart
  departEdge departLane departPos departPosLat departSpeed from fromJunction fromLonLat fromTaz
  fromXY id insertionChecks line parkingBadges personNumber speedFactor to toJunction toLonLat toTaz
  toXY type via viaJunctions viaLonLat viaXY
type: allow bikeLaneWidth disallow discard friction id maxWidth minWidth numLanes oneway priority
  sidewalkWidth speed spreadType width widthResolution
vaporizer: begin end id name
variableSpeedSign: file id lanes name pos vTypes
vehicle: angle arrival arrivalEdge arrivalLane arrivalPos arrivalPosLat arrivalPosRandomized
  arrivalSpeed color containerNumber depart departEdge departLane departPos departPosLat departSpeed
  distance entryPos fromTaz id insertionChecks lcState lcState2 lcStateBase line parkingBadges
  personNumber pos posLat reroute route routeLength speed speedFactor state toTaz type via
  waitingTime
vehicles: blockTime time value
vehicleTransfer: depart id jump parking
vType: actionStepLength apparentDecel applyDriverState boardingDuration boardingFactor
  carFollowModel collisionAvoidanceOverride color containerCapacity curveIntegration curveResistance
  desiredMaxSpeed emissionClass guiShape hasDriverState height id imgFile impatience jmAdvance
  jmAllwayStopWait jmCrossingGap jmDriveAfterRedTime jmDriveAfterYellowTime jmDriveRedSpeed
  jmExtraGap jmIgnoreFoeProb jmIgnoreFoeSpeed jmIgnoreJunctionFoeProb jmIgnoreKeepClearTime
  jmSigmaMinor jmStopSignWait jmStoplineGap jmStoplineGapMinor jmTimegapMinor laneChangeModel
  latAlignment lcAccelLat lcAssertive lcContRight lcCooperative lcCooperativeHelpThreshold
  lcCooperativeHelpTime lcCooperativeMinSpeed lcCooperativeRoundabout lcCooperativeSpeed
  lcImpatience lcKeepRight lcKeepRightAcceptanceTime lcLaneDiscipline lcLookaheadLeft
  lcMaxDistLatStanding lcMaxSpeedLatFactor lcMaxSpeedLatStanding lcOpposite
  lcOvertakeDeltaSpeedFactor lcOvertakeRight lcPushy lcPushyGap lcSigma lcSpeedGain
  lcSpeedGainLookahead lcSpeedGainRemainTime lcSpeedGainRight lcSpeedGainUrgency lcStrategic
  lcStrategicLookahead lcSublane lcTimeToImpatience lcTurnAlignmentDistance length loadingDuration
  maneuverAngleTimes mass massFactor maxPower maxSpeed maxSpeedLat maxTraction minGap minGapLat
  osgFile parkingBadges personCapacity probability refId resCoef_constant resCoef_linear
  resCoef_quadratic resistanceTable roeckl_numerator roeckl_numerator_sharp roeckl_offset
  roeckl_offset_sharp roeckl_sharp_radius scale speedControlMinGap speedDev speedFactor
  speedFactorPremature speedTable startupDelay tauCACCToACC timeToTeleport timeToTeleportBidi
  tractionTable trainType vClass width
vTypeDistribution: deterministic id probabilities vTypes
vTypeProbe: file freq id period type
walk: arrivalPos busStop chargingStation containerStop cost departLane departPos departPosLat
  duration edges ended exitTimes from fromJunction fromLonLat fromTaz fromXY parkingArea route
  routeLength speed started to toJunction toLonLat toTaz toXY trainStop viaJunctions waitingTime
WAUT: id period refTime startProg
wautJunction: junctionID procedure synchron wautID
wautSwitch: time to
"""


@cache
def known_attributes() -> dict[str, frozenset[str]]:
    """The attributes of each element."""
    found: dict[str, frozenset[str]] = {}
    for entry in _TEXT.replace("\n  ", " ").splitlines():
        names, _, attributes = entry.partition(":")
        found |= dict.fromkeys(names.split(), frozenset(attributes.split()))
    models = [known for name, known in found.items() if name.startswith("carFollowing-")]
    return found | {"vType": found["vType"].union(*models)}
